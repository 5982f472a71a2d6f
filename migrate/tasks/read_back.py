"""Looks at what a target shows of the copies that were written: an answer of 200 proves nothing.

What is not shown is tried again, and fails by name in the end. What the target has changed and
keeps so, such as a value it has cut, is a loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrate.endpoints.answers import Capabilities
from migrate.errors import EndpointError, Unavailable
from migrate.objects import (
    MODEL_VERSIONS_TAG,
    Experiment,
    LoggedModel,
    Metric,
    ModelVersion,
    RegisteredModel,
    Run,
    input_name,
)
from migrate.origins import LOSSES, MARK
from migrate.outcomes import Loss
from migrate.storable import INT64
from migrate.tasks.batches import PATIENT_ATTEMPTS

SHOWN = 5
#: Characters by which the names of losses are told apart: some are cut a little after it.
NAMED = 60


@dataclass(slots=True)
class Seen:
    """What a target shows of a copy: ``missing`` names what is not as it was sent.

    ``changed`` are the values that the target has made its own of, and keeps.
    """

    missing: list[str] = field(default_factory=list)
    changed: list[Loss] = field(default_factory=list)

    def check(self, what: str, wanted: object, there: object) -> None:
        """Note a value that can be written again, and is not shown as it was sent."""
        if wanted != there:
            self.missing.append(what)

    def check_fixed(self, what: str, wanted: object, there: object) -> None:
        """Note a value that only a create can set, and that the target shows otherwise."""
        if wanted != there:
            self.changed.append(Loss(what, f"the target keeps {str(there)[:60]!r} in its place"))

    def check_items(self, word: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> None:
        """Note the items that are not shown, and those that the target has cut.

        What a copy says that it lacks is no part of it, and may be refused like what it lacks.
        """
        for key, value in wanted.items():
            if key.startswith(LOSSES):
                continue
            if key in there:
                self.check_text(f"{word} {key[:60]}", value, there[key])
            else:
                self.missing.append(f"{word} {key[:60]}")

    def check_text(self, what: str, wanted: str, there: str) -> None:
        """Note a text that is not shown as it was sent, or that the target has cut."""
        if there and wanted != there and wanted.startswith(there):
            reason = f"{len(wanted)} characters, the target cut it to {len(there)}"
            self.changed.append(Loss(what, reason))
        else:
            self.check(what, wanted, there)

    def leave_out(self, known: Collection[Loss]) -> None:
        """Forget what is known to be lost."""
        names = {loss.what[:NAMED] for loss in known}
        self.missing = [what for what in self.missing if what[:NAMED] not in names]
        self.changed = [loss for loss in self.changed if loss.what[:NAMED] not in names]

    def settle(self, known: Collection[Loss], name: str, attempt: int) -> tuple[Loss, ...]:
        """Return what the target has made its own of, beyond what is ``known``; see ``require``."""
        self.leave_out(known)
        self.require(name, attempt)
        return tuple(self.changed)

    def require(self, name: str, attempt: int) -> None:
        """Raise when something of the object ``name`` is not shown.

        ``Unavailable`` for the first attempts, ``EndpointError`` when trying again is no use.
        """
        if not self.missing:
            return
        kind = Unavailable if attempt < PATIENT_ATTEMPTS else EndpointError
        raise kind(
            f"the target answered that it stored {name}, and does not show {_some(self.missing)}",
            "is there a gateway before the target that answers in its place?",
        )


def seen_of_run(wanted: Run, mark: str, there: Run | None, target: Capabilities) -> Seen:
    """Compare a run as it was sent, with all its tags, with what a search shows of it."""
    if there is None:
        return Seen(missing=["the run itself"])
    seen = Seen()
    seen.check_items("tag", {**wanted.tags, MARK: mark}, there.tags)
    seen.check_items("param", wanted.params, there.params)
    seen.check("status", wanted.status, there.status)
    ended = seen.check_fixed if wanted.end_time is None else seen.check
    ended("end time", wanted.end_time, there.end_time)
    seen.check("lifecycle stage", wanted.lifecycle_stage, there.lifecycle_stage)
    seen.check("name", wanted.name, there.name)
    if len(there.inputs) < len({str(item.get("dataset")) for item in wanted.inputs}):
        shown = set(map(input_name, there.inputs))
        unseen = [name for name in map(input_name, wanted.inputs) if name not in shown]
        seen.missing += dict.fromkeys(unseen or ["dataset inputs"])
    seen.missing += _unseen_metrics(wanted.latest_metrics, there.latest_metrics)
    seen.check_fixed("start time", wanted.start_time, there.start_time)
    if not target.sets_user:
        seen.check_fixed("user id", wanted.user_id, there.user_id)
    return seen


def seen_of_experiment(wanted: Experiment, there: Experiment | None) -> Seen:
    """Compare the name and tags of an experiment as they were sent with what the target shows."""
    if there is None:
        return Seen(missing=["the experiment itself"])
    seen = Seen()
    seen.check_items("tag", wanted.tags, there.tags)
    seen.check_fixed("name", wanted.name, there.name)
    return seen


def seen_of_registered_model(wanted: RegisteredModel, there: RegisteredModel | None) -> Seen:
    """Compare a registered model or prompt as it was sent with what the target shows."""
    if there is None:
        return Seen(missing=[f"the {wanted.kind} itself"])
    seen = Seen()
    seen.check_items("tag", wanted.tags, there.tags)
    seen.check_text("description", wanted.description, there.description)
    return seen


def seen_of_version(wanted: ModelVersion, there: ModelVersion | None) -> Seen:
    """Compare a version as it was sent with what the target shows."""
    if there is None:
        return Seen(missing=["the version itself"])
    seen = Seen()
    seen.check_items("tag", wanted.tags, there.tags)
    seen.check_text("description", wanted.description, there.description)
    seen.check("stage", wanted.stage, there.stage)
    seen.check_fixed("source", wanted.source, there.source)
    seen.check_fixed("run", wanted.run_id, there.run_id)
    seen.missing += [f"alias {alias}" for alias in wanted.aliases if alias not in there.aliases]
    return seen


def seen_of_logged_model(wanted: LoggedModel, mark: str, there: LoggedModel | None) -> Seen:
    """Compare a logged model as it was sent, with all its tags, with what the target shows."""
    if there is None:
        return Seen(missing=["the logged model itself"])
    seen = Seen()
    tags = {key: text for key, text in wanted.tags.items() if key != MODEL_VERSIONS_TAG}
    seen.check_items("tag", {**tags, MARK: mark}, there.tags)
    seen.check_items("param", wanted.params, there.params)
    seen.check("status", wanted.status, there.status)
    seen.check_fixed("name", wanted.name, there.name)
    return seen


def lacks_something(wanted: Run, there: Run, known: Collection[Loss]) -> bool:
    """Say whether a copy lacks a param or a metric, which nobody can have taken away."""
    seen = Seen()
    seen.missing += [f"param {key[:60]}" for key in wanted.params.keys() - there.params.keys()]
    seen.missing += _unseen_metrics(wanted.latest_metrics, there.latest_metrics)
    seen.leave_out(known)
    return bool(seen.missing)


def lost_tags(
    wanted: Mapping[str, str], there: Mapping[str, str], known: Collection[Loss]
) -> tuple[str, ...]:
    """Warn of tags that a complete copy had and has no more; values may be of its own by now."""
    gone = sorted(key for key in wanted.keys() - there.keys() if not key.startswith(LOSSES))
    seen = Seen(missing=[f"tag {key[:60]}" for key in gone])
    seen.leave_out(known)
    if not seen.missing:
        return ()
    return (f"its copy has lost {_some(seen.missing)} since: migrate run --repair writes it again",)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _unseen_metrics(wanted: Iterable[Metric], there: Iterable[Metric]) -> Iterator[str]:
    """Name the metrics whose latest point is not shown, nor one that came after it.

    Of points of one step and time, servers do not agree which is the latest.
    """
    latest = {point.key: (point.step, point.timestamp) for point in there}
    for point in wanted:
        place = (point.step, point.timestamp)
        storable = point.step in INT64 and point.timestamp in INT64
        if storable and (point.key not in latest or latest[point.key] < place):
            yield f"metric {point.key[:60]}"
