"""Endpoints own the wire format: calls, paging, error translation, files.

They know MLflow's objects and nothing of plans, references or equality.
"""
