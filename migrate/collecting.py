"""Garbage collection, where very many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Objects that a later collection would go through in a tenth of a second or more.
MANY = 500_000


@contextmanager
def making_what_stays() -> Iterator[None]:
    """Make objects that stay without collecting: it would find nothing, time and again.

    Where there are very many, no later collection goes through those that are left at the end.
    """
    gc.disable()
    try:
        yield
        if gc.get_count()[0] > MANY:
            gc.collect(0)
            gc.freeze()
    finally:
        gc.enable()
