"""Takes tags off objects of which MLflow's call for that has the key of the tag in its path."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import quote

from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import NotFound
from migrate.objects import LossCode
from migrate.outcomes import Loss, loss_of
from migrate.storable import is_removable


def remove_tags(http: HttpSession, path: str, keys: Iterable[str]) -> None:
    """Take tags off what is at ``path``, but for those that stay. May be repeated."""
    for key in sorted(filter(is_removable, keys)):
        with suppress(NotFound):
            http.change("DELETE", f"{path}/tags/{quote(key, safe='')}", {})


def tags_that_stay(keys: Iterable[str]) -> tuple[Loss, ...]:
    """Return as losses those of the tags to take off that no call can name."""
    why = "MLflow's call that deletes a tag has its key in the path"
    stay = sorted(key for key in keys if not is_removable(key))
    return tuple(loss_of(LossCode.LASTING, f"tag {key}", why) for key in stay)
