"""The bookkeeping tags a copy carries, by which it is found again on any later day.

They ride in the create call itself, so there is no moment at which a copy exists without them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

from migrate.objects import (
    IS_PROMPT_TAG,
    PROMPT_TEXT_TAG,
    Experiment,
    LoggedModel,
    Loss,
    ModelVersion,
    RegisteredModel,
    Run,
)
from migrate.outcomes import loss_from_stored, loss_to_stored

Lossy = Experiment | Run | LoggedModel | RegisteredModel | ModelVersion

PREFIX = "mlflow-migrate."
ORIGIN = PREFIX + "origin"  #: the source object's id (see ``experiment_origin`` for experiments)
MIGRATION = PREFIX + "migration"  #: the migration that made the copy
MARK = PREFIX + "copied"  #: fingerprint of what was copied; set last, so it says "complete"
SOURCE = PREFIX + "source."  #: values of the source that MLflow does not let a client set
LOSSES = PREFIX + "losses."  #: what did not arrive, as JSON in numbered tags
#: On an experiment: where the copy of a deleted logged model is, which no search finds.
DELETED_MODEL = PREFIX + "deleted-model."
#: On a registered model made in place of another one: by which plan.
REPLACES = PREFIX + "replaces"
#: On a version that only takes a number until the one behind it is there.
PLACEHOLDER = PREFIX + "placeholder"
#: On a run that holds flattened logged models, by which it is found; and one for each of them.
HOLDS_FLATTENED = PREFIX + "flattened"
FLATTENED = PREFIX + "flattened."
#: On an experiment of a target, while objects are created there: who does. By migration.
WRITING = PREFIX + "writing."
#: On a run or logged model without a name: the name that its copy has for want of one.
STAND_IN = PREFIX + "name-stands-in"
EARLIER = PREFIX + "earlier."  #: the same tags of an earlier migration, when a copy is copied

#: The shortest limit of a tag's value among the targets that are supported.
LONGEST_TAG = 5000


def experiment_origin(experiment: Experiment) -> str:
    """Return what names a source experiment for ever: its id and its creation time.

    Ids of SQL stores are small integers, alike on every server; the creation time in
    milliseconds tells servers apart, and survives a change of name, host or port.
    """
    return f"{experiment.experiment_id}@{experiment.creation_time or 0}"


def keep_earlier(tags: Mapping[str, str]) -> dict[str, str]:
    """Return ``tags`` with the bookkeeping of an earlier migration moved under ``EARLIER``.

    Tags already under ``EARLIER`` stay as they are; the fingerprint of the earlier copy is
    dropped, since it says nothing about a copy of the copy, and so is who writes there now.
    """
    ours = [key for key in tags if key.startswith(PREFIX) and not key.startswith(EARLIER)]
    kept = {key: value for key, value in tags.items() if key not in ours}
    for key in ours:
        if key != MARK and not key.startswith(WRITING):
            kept.setdefault(EARLIER + key.removeprefix(PREFIX), tags[key])
    return kept


def real_name(name: str, tags: Mapping[str, str]) -> str:
    """Return the name of a run or logged model; empty where it stands in on a copy of one."""
    return "" if tags.get(STAND_IN) == name else name


def set_aside(tags: Mapping[str, str], reserved: Collection[str]) -> dict[str, str]:
    """Return ``tags`` with those that the target keeps for itself under ``SOURCE``."""
    return {SOURCE + "tag." + key if key in reserved else key: text for key, text in tags.items()}


def bookkeeping(tags: Mapping[str, str]) -> dict[str, str]:
    """Return those of a copy's ``tags`` by which it, or a placeholder, is found again."""
    return {k: value for k, value in tags.items() if k in (ORIGIN, MIGRATION, PLACEHOLDER)}


def indispensable(tags: Mapping[str, str]) -> dict[str, str]:
    """Return those of a copy's ``tags`` without which it is not found, or taken for another."""
    others = (REPLACES, IS_PROMPT_TAG, PROMPT_TEXT_TAG)
    return bookkeeping(tags) | {key: tags[key] for key in others if key in tags}


def without_bookkeeping(tags: Mapping[str, str]) -> dict[str, str]:
    """Return ``tags`` without those this tool writes."""
    return {key: value for key, value in tags.items() if not key.startswith(PREFIX)}


def carried_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return those of a copy's tags that are its original's, not what is said of the copy."""
    return {
        key: value
        for key, value in tags.items()
        if key.startswith(EARLIER) or not key.startswith(PREFIX)
    }


def losses_to_tags(losses: Iterable[Loss]) -> dict[str, str]:
    """Return losses as numbered tags, so that they are still known when a copy is checked."""
    texts: list[str] = []
    for loss in losses:
        entry = _entry(loss)
        if texts and len(f"[{texts[-1]},{entry}]") <= LONGEST_TAG:
            texts[-1] += "," + entry
        else:
            texts.append(entry)
    return {f"{LOSSES}{number}": f"[{text}]" for number, text in enumerate(texts)}


def _entry(loss: Loss) -> str:
    longest = 500
    while True:
        # Escapes make up to twelve characters of one.
        shortened = loss._replace(what=loss.what[:longest], reason=loss.reason[:longest])
        entry = json.dumps(loss_to_stored(shortened))
        if len(f"[{entry}]") <= LONGEST_TAG:
            return entry
        longest //= 2


def losses_from_tags(tags: Mapping[str, str]) -> tuple[Loss, ...]:
    """Read back what ``losses_to_tags`` wrote; text that is not ours gives nothing."""
    losses: list[Loss] = []
    for key in sorted([key for key in tags if key.startswith(LOSSES)], key=_number):
        try:
            losses += list(map(loss_from_stored, json.loads(tags[key])))
        except (ValueError, TypeError, RecursionError):
            continue
    return tuple(losses)


def known_losses(record: Lossy) -> tuple[Loss, ...]:
    """Return what is missing of an object already: as its endpoint says, or its own tags do.

    The latter are those of an earlier copy, whose copy it is to become.
    """
    if not record.losses and LOSSES not in "".join(record.tags):
        return ()
    return tuple(dict.fromkeys((*record.losses, *losses_from_tags(record.tags))))


def loss_tags(losses: Iterable[Loss], there: Iterable[str]) -> dict[str, str]:
    """Return losses as tags of a copy whose tags have the keys ``there``."""
    return outdated_losses(there) | losses_to_tags(losses)


def losses_beside(tags: Mapping[str, str], losses: Iterable[Loss]) -> dict[str, str]:
    """Return losses as tags of a copy that has ``tags``, with those that these tell already."""
    return losses_to_tags((*losses_from_tags(tags), *losses))


def outdated_losses(there: Iterable[str]) -> dict[str, str]:
    """Return what overwrites the losses among the tags of a copy, which cannot be taken away."""
    return {key: "[]" for key in there if key.startswith(LOSSES)}


def _number(key: str) -> tuple[int, str]:
    return len(key), key
