"""Tags as Unity Catalog takes them, which refuses some characters in their keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from migrate.outcomes import Loss

#: What keys of tags may not have: "Apply tags to Unity Catalog securable objects" (Databricks).
REFUSED_IN_TAGS = ".,-=/:"
LONGEST_TAG = 1000
#: Prefixes of keys that are written here in another spelling, with two underscores for each dot.
SPELLED = {"mlflow-migrate.": "mlflow_migrate__", "mlflow_exim.": "mlflow_exim__"}


def written_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags with the keys of our own spelled as Unity Catalog takes them."""
    return {_spelled(key): value for key, value in tags.items()}


def read_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Read back what ``written_tags`` wrote."""
    return {_unspelled(key): value for key, value in tags.items()}


def in_our_words(refused: Iterable[Loss]) -> tuple[Loss, ...]:
    """Return losses with the keys of our own as they are spelled elsewhere."""
    return tuple(
        loss._replace(what=f"tag {_unspelled(loss.what.removeprefix('tag '))}")
        if loss.what.startswith("tag ")
        else loss
        for loss in refused
    )


def _spelled(key: str) -> str:
    for prefix, spelled in SPELLED.items():
        if key.startswith(prefix):
            return spelled + key.removeprefix(prefix).replace(".", "__")
    return key


def _unspelled(key: str) -> str:
    for prefix, spelled in SPELLED.items():
        if key.startswith(spelled):
            return prefix + key.removeprefix(spelled).replace("__", ".")
    return key
