"""Records of kinds that are copied by their stores, one kind a module, with MLflow's own names.

Like ``migrate.objects``, they hold what MLflow's REST API returns, and know nothing of servers.
"""
