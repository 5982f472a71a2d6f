"""What a target refuses of an object costs itself alone: the object is made without it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TypeVar

from migrate.endpoints.answers import Capabilities
from migrate.errors import NotCompleted, Refused
from migrate.objects import Experiment, ModelVersion, RegisteredModel
from migrate.origins import indispensable

Tagged = TypeVar("Tagged", Experiment, RegisteredModel, ModelVersion)
Made = TypeVar("Made")


def create_tagged(
    create: Callable[[Tagged], Made], wanted: Tagged, target: Capabilities
) -> tuple[Made, Tagged]:
    """Create an object; where that is refused, with no more than the tags it is found by.

    So it is too where it has more than one request of the target has room for. One tag, or the
    description, may be at fault: the rest is to be written after it, and what is refused then has
    a name. Return what ``create`` returned, and the object as it was made. Raises what ``create``
    raises.
    """
    bare = dataclasses.replace(wanted, tags=indispensable(wanted.tags))
    if not isinstance(bare, Experiment):
        bare = dataclasses.replace(bare, description="")
    if target.request_bytes is not None and _bytes_of(wanted) > target.request_bytes:
        return create(bare), bare
    try:
        return create(wanted), wanted
    except NotCompleted:
        raise
    except Refused:
        if bare == wanted:
            raise
        return create(bare), bare


def _bytes_of(wanted: Experiment | RegisteredModel | ModelVersion) -> int:
    """Return how long the tags and the description are in a request, in bytes."""
    description = "" if isinstance(wanted, Experiment) else wanted.description
    return len(json.dumps([description, wanted.tags]))
