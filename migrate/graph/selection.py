"""What the user selects: experiments by name, id, prefix or file, and runs by start time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from migrate.errors import UsageError
from migrate.objects import DELETED, Experiment, Run

ALL = "all"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME_FORMATS = "YYYY-MM-DD, 'YYYY-MM-DD HH:MM:SS' or YYYY-MM-DDTHH:MM:SSZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The user's filters. Times are epoch ms: ``started_from`` inclusive, ``until`` exclusive.

    ``experiments`` are tokens: ``all``, names, ids or ``prefix*``. Empty means the whole server,
    registered models and prompts included.
    """

    experiments: tuple[str, ...] = ()
    started_from: int | None = None
    until: int | None = None
    include_deleted: bool = False

    def leaves_out_run(self, run: Run) -> str:
        """Return why a run is left out, or an empty text."""
        if run.lifecycle_stage == DELETED and not self.include_deleted:
            return "deleted (take it along with --include-deleted)"
        if self.started_from is not None and run.start_time < self.started_from:
            return "started before --run-start-time"
        if self.until is not None and run.start_time >= self.until:
            return "not started before --runs-until"
        return ""

    def leaves_out_experiment(self, experiment: Experiment, chosen: frozenset[str] | None) -> str:
        """Return why an experiment is left out, or an empty text; ``chosen`` are ids or None."""
        if chosen is not None and experiment.experiment_id not in chosen:
            return "not selected by --experiments"
        if experiment.lifecycle_stage == DELETED and not self.include_deleted:
            return "deleted (take it along with --include-deleted)"
        return ""

    def as_options(self) -> dict[str, Any]:
        """Return the selection as JSON values."""
        return {
            "experiments": list(self.experiments),
            "run_start_time": self.started_from,
            "runs_until": self.until,
            "include_deleted": self.include_deleted,
        }


def selection_from_options(options: Mapping[str, Any]) -> Selection:
    """Read back what ``as_options`` gave."""
    return Selection(
        experiments=tuple(options.get("experiments", ())),
        started_from=options.get("run_start_time"),
        until=options.get("runs_until"),
        include_deleted=bool(options.get("include_deleted")),
    )


def parse_tokens(values: Sequence[str]) -> tuple[str, ...]:
    """Return the tokens of an option's values: each as it is, or a ``.txt`` file's lines.

    Raises ``UsageError`` for a file that cannot be read or holds nothing.
    """
    tokens: list[str] = []
    for value in values:
        if value.endswith(".txt"):
            tokens += _tokens_of_file(Path(value))
        else:
            # The whole text first: a name may contain a comma.
            tokens.append(value)
    return tuple(tokens)


def _tokens_of_file(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(
            f"cannot read {path}: {problem}", "give a UTF-8 text file with one name or id a line"
        ) from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UsageError(f"{path} names nothing", "write one name or id a line")
    return found


def choose_experiments(
    tokens: Sequence[str], experiments: Sequence[Experiment]
) -> frozenset[str] | None:
    """Return the ids that the tokens select, None for all.

    A token is tried whole as a name, then as an id, then as ``prefix*`` of names, then as a
    comma list of such. Raises ``UsageError`` naming every token that selects nothing.
    """
    if not tokens or ALL in tokens:
        return None
    by_name = {item.name: item.experiment_id for item in experiments}
    ids = {item.experiment_id for item in experiments}

    def select(token: str) -> set[str]:
        if token in by_name:
            return {by_name[token]}
        if token in ids:
            return {token}
        if token.endswith("*"):
            return {ident for name, ident in by_name.items() if name.startswith(token[:-1])}
        return set()

    chosen: set[str] = set()
    unknown: list[str] = []
    for token in tokens:
        found = select(token)
        if found:
            chosen |= found
            continue
        parts = [part.strip() for part in token.split(",") if part.strip()]
        if ALL in parts:
            return None
        unknown += [part for part in parts if not select(part)] or ([] if parts else [token])
        for part in parts:
            chosen |= select(part)
    if unknown:
        raise UsageError(
            f"no experiment at the source is called or numbered: {', '.join(map(repr, unknown))}",
            _nearest(unknown[0], sorted(by_name)),
        )
    return frozenset(chosen)


def _nearest(token: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(token, names, n=3)
    if close:
        return "did you mean " + " or ".join(map(repr, close)) + "?"
    return f"the source has {len(names)} experiments; see them with: migrate plan SOURCE TARGET"


def parse_time(text: str, option: str) -> int:
    """Return epoch milliseconds of a UTC date or time. Raises ``UsageError``."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{option} {text!r} is no date", f"write it as {TIME_FORMATS}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # timestamp() is a float: it puts one of a hundred milliseconds one too early.
    return (moment - EPOCH) // timedelta(milliseconds=1)
