"""Cuts texts and leaves out keys as a target can hold them, each a loss by name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from migrate.endpoints.answers import Capabilities
from migrate.folding import twins, why_left_out
from migrate.outcomes import Loss
from migrate.storable import HALF_CHARACTER, is_text

NUL = "\0"


def cut_values(
    values: Mapping[str, str],
    word: str,
    limit: int | None,
    target: Capabilities,
    losses: list[Loss],
) -> dict[str, str]:
    """Return values as the target can hold them; what that costs is added to ``losses``."""
    if fit_as_they_are(values.values(), limit, target):
        return dict(values)
    return {
        key: fitting(f"{word} {key[:60]}", value, limit, target, losses)
        for key, value in values.items()
    }


def fit_as_they_are(texts: Collection[str], limit: int | None, target: Capabilities) -> bool:
    """Say at one look that the target can hold these texts of at most ``limit`` characters."""
    if limit is None and target.holds_nul:
        return True
    text = "".join(texts)
    return _within(limit, texts, text) and (target.holds_nul or NUL not in text)


def _within(limit: int | None, texts: Collection[str], joined: str) -> bool:
    """Say whether none of the texts is longer: mostly, all together are not."""
    return limit is None or len(joined) <= limit or max(map(len, texts)) <= limit


def fitting(
    what: str, text: str, limit: int | None, target: Capabilities, losses: list[Loss]
) -> str:
    """Return a text as the target can hold it; what that costs is added to ``losses``."""
    if not target.holds_nul and NUL in text:
        text = text.replace(NUL, "\ufffd")
        losses.append(Loss(what, "holds the character 0, which the target does not: replaced"))
    if limit is not None and len(text) > limit:
        losses.append(Loss(what, f"{len(text)} characters, the target holds {limit}"))
        text = text[:limit]
    return text


def without_refused(
    values: dict[str, str], word: str, target: Capabilities, losses: list[Loss]
) -> dict[str, str]:
    """Return values without those whose keys the target refuses, which are added to ``losses``."""
    refused = refused_keys(values, target)
    if not refused:
        return values
    losses += [Loss(f"{word} {key[:60]}", reason) for key, reason in refused.items()]
    return {key: value for key, value in values.items() if key not in refused}


def refused_keys(keys: Iterable[str], target: Capabilities) -> dict[str, str]:
    """Return the keys of one object that the target refuses or takes for another one, and why."""
    keys = list(keys)
    if takes_all(keys, target):
        return {}
    reasons = {key: _why_refused(key, target) for key in keys}
    taken = [key for key, reason in reasons.items() if not reason]
    reasons |= {key: why_left_out(first) for key, first in twins(taken, target.folding).items()}
    return {key: reason for key, reason in reasons.items() if reason}


def takes_all(keys: Sequence[str], target: Capabilities) -> bool:
    """Say at one look that none of these keys is refused; where not, each is looked at."""
    text = "".join(keys)
    return not (
        "" in keys
        or not is_text(text)
        or (NUL in text and not target.holds_nul)
        or not _within(target.metric_key_length, keys, text)
        or (":" in text and not target.colon_in_keys)
        or any(target.folding)
    )


def _why_refused(key: str, target: Capabilities) -> str:
    if not key:
        return "its key is empty, which no server stores"
    if not is_text(key):
        return f"its key {HALF_CHARACTER}"
    if not target.holds_nul and NUL in key:
        return "its key holds the character 0, which the target does not"
    limit = target.metric_key_length
    if limit is not None and len(key) > limit:
        return f"its key has {len(key)} characters, the target holds {limit}"
    if ":" in key and not target.colon_in_keys:
        return "the target refuses keys with a colon"
    return ""
