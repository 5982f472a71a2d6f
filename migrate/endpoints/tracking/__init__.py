"""A tracking server as an endpoint: MLflow's REST API over connections of our own."""

from __future__ import annotations

from migrate.endpoints.tracking.server import TrackingServer

__all__ = ["TrackingServer"]
