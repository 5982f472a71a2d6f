"""Imports of MLflow, which take their time and so are left until they are needed: in any thread.

Its modules import each other in circles. Two threads that begin such a circle at two places would
wait for each other, for which Python lets one of them fail.
"""

from __future__ import annotations

from threading import RLock

#: Held by whoever imports a module of MLflow.
IMPORTING = RLock()
