"""The ``migrate`` command: parse, open endpoints and state, call, choose a view, exit code."""

from __future__ import annotations

from migrate.cli.app import app, main

__all__ = ["app", "main"]
