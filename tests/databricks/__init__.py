"""A Databricks-like workspace on this machine, and what ``migrate`` does with two of them.

``Workspace`` (workspace.py) is a real HTTP server on a free loopback port. It checks bearer tokens
and sends MLflow's own calls on to a real MLflow server; the rest it answers itself, after
Databricks' published REST API, and it enforces what it says:

- ``accounts.py``: tokens, users, groups, service principals, and who may do what
  (``/api/2.0/permissions/...``, ``/api/2.1/unity-catalog/permissions/...``);
- ``files.py``: files below ``dbfs:/databricks/mlflow-tracking``, by URLs that it signs;
- ``mlflow_rules.py``: names, folders and tags that a workspace refuses or writes itself;
- ``notebooks.py``: ``/api/2.0/workspace/export``, by revision;
- ``catalog.py``: registered models of Unity Catalog and their versions.

Where it is simpler than the real one: an account that may manage an object is one that has
CAN_MANAGE on it or is an administrator; levels of permissions gate nothing but permissions; there
are no groups in groups; signed URLs never run out; every form of a notebook is made of one text.
It tells nothing of what Databricks does where its documentation is silent.
"""
