"""The command line with all of its commands."""

from __future__ import annotations

from migrate.cli.app import app, load

__all__ = ["app"]

load()
