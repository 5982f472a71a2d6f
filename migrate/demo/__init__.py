"""``migrate demo``, and the real tracking servers of it, the tests and the benchmarks."""

from __future__ import annotations

from migrate.demo.walkthrough import play

__all__ = ["play"]
