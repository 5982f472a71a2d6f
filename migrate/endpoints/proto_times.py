"""Times and durations as protobuf's JSON has them, in milliseconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from migrate.errors import Malformed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(value: str) -> int:
    """Return a moment as epoch milliseconds. Raises ``Malformed``."""
    try:
        return round((datetime.fromisoformat(value) - _EPOCH) / _MILLISECOND)
    except (ValueError, TypeError, OverflowError):
        raise Malformed(f"{value[:60]!r} is no time") from None


def time_text(moment: int) -> str:
    """Return epoch milliseconds as a moment. Raises ``Malformed`` for what no calendar has."""
    try:
        told = _EPOCH + timedelta(milliseconds=moment)
    except OverflowError:
        raise Malformed(f"{moment} is no time") from None
    fraction = f".{moment % 1000:03d}" if moment % 1000 else ""
    return told.strftime("%Y-%m-%dT%H:%M:%S") + f"{fraction}Z"


def duration(value: str) -> int | None:
    """Return a duration in milliseconds, None for an empty text. Raises ``Malformed``."""
    if not value:
        return None
    try:
        return round(Decimal(value.removesuffix("s")) * 1000)
    except (InvalidOperation, ValueError, OverflowError):
        raise Malformed(f"{value[:60]!r} is no duration") from None


def duration_text(value: int) -> str:
    """Return milliseconds as a duration."""
    return f"{Decimal(value) / 1000:f}s"
