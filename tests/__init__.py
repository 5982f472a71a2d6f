"""Tests of mlflow-migrate, against real tracking servers."""

from __future__ import annotations
