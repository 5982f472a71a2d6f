"""What a target refuses of an object costs itself alone: the object is made without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from migrate.errors import NotCompleted, Refused
from migrate.objects import Experiment, ModelVersion, RegisteredModel
from migrate.origins import indispensable

Tagged = TypeVar("Tagged", Experiment, RegisteredModel, ModelVersion)
Made = TypeVar("Made")


def create_tagged(create: Callable[[Tagged], Made], wanted: Tagged) -> tuple[Made, Tagged]:
    """Create an object; where that is refused, with no more than the tags it is found by.

    One tag, or the description, may be at fault: the rest is to be written after it, and what is
    refused then has a name. Return what ``create`` returned, and the object as it was made. Raises
    what ``create`` raises.
    """
    try:
        return create(wanted), wanted
    except NotCompleted:
        raise
    except Refused:
        bare = dataclasses.replace(wanted, tags=indispensable(wanted.tags))
        if not isinstance(bare, Experiment):
            bare = dataclasses.replace(bare, description="")
        if bare == wanted:
            raise
        return create(bare), bare
