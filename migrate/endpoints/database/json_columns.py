"""What columns say that hold JSON: as text, or read already by a driver. Pure."""

from __future__ import annotations

from typing import Any

from migrate.endpoints.database.reading import Row
from migrate.endpoints.shapes import parse_json
from migrate.errors import Malformed


def json_of(row: Row, name: str) -> Any:
    """Return what a column says; None where it is empty. Raises ``Malformed``.

    What a driver has read already is an object or a list, as far as MLflow keeps it there.
    """
    value = row[name]
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError as problem:
        raise Malformed(f"{name} is no JSON: {problem}") from problem
