"""Which version of MLflow a server is, as far as that is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from migrate.kinds import Kind

Version = tuple[int, int]

#: The newest whose kinds of objects this tool knows.
NEWEST: Version = (3, 18)

NO_KINDS: Mapping[Kind, str] = MappingProxyType({})


class Release(NamedTuple):
    """What is known of a server's version: it is ``least`` or newer, and older than ``below``.

    ``text`` is what the server calls it, empty where that is concluded from what it answers.
    """

    least: Version
    below: Version | None = None
    text: str = ""

    def reaches(self, since: Version) -> bool:
        """Say whether it surely has what came with a version."""
        return self.least >= since

    def is_before(self, since: Version) -> bool:
        """Say whether it surely lacks what came with a version."""
        return self.below is not None and self.below <= since

    @property
    def is_newer_than_known(self) -> bool:
        """Whether it surely is of a version after ``NEWEST``."""
        return self.least > NEWEST

    def __str__(self) -> str:
        if self.text:
            return self.text
        if self.below is not None:
            return "older than {}.{}".format(*self.below)
        return "{}.{} or newer".format(*self.least)


def release_of(text: str) -> Release | None:
    """Return what a server's own words say, such as ``3.17.2``; None where they are no version."""
    found = re.fullmatch(r"(\d{1,4})\.(\d{1,4})([.\w+-]{0,30})", text)
    if not found:
        return None
    major, minor = int(found[1]), int(found[2])
    return Release((major, minor), (major, minor + 1), text)
