"""The ``migrate`` command: parse, open endpoints and state, call, choose a view, exit code."""

from __future__ import annotations

from migrate.cli import copying, exports, imports, inspecting, showing
from migrate.cli.app import app, main

__all__ = ["app", "copying", "exports", "imports", "inspecting", "main", "showing"]
