"""Compares source and target in lock step, re-reading both in full. Writes nothing.

Copies are found by their origin on the target, and say themselves what they lost, so no state
database is needed. What has no copy says why only where one is there to tell.
"""

from __future__ import annotations

from migrate.verify.comparing import compare
from migrate.verify.explaining import explain
from migrate.verify.mending import damage_by_object
from migrate.verify.result import Comparison, Ends

__all__ = ["Comparison", "Ends", "compare", "damage_by_object", "explain"]
