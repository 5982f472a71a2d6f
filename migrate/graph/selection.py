"""What the user selects: experiments, registered models and their versions, and runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from migrate.errors import UsageError
from migrate.kinds import MODEL_KINDS, ON_REQUEST, Kind
from migrate.objects import DELETED, STAGES, Experiment, ModelVersion
from migrate.outcomes import LeftOut, LeftOutCode
from migrate.traces import Stretch

ALL = "all"
NO_TRACES = "none"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME_FORMATS = "YYYY-MM-DD, 'YYYY-MM-DD HH:MM:SS' or YYYY-MM-DDTHH:MM:SSZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The user's filters. Times are epoch ms: ``started_from`` inclusive, ``until`` exclusive.

    ``experiments`` and ``models`` are tokens: ``all``, names, ids or ``prefix*``. Both empty means
    the whole server, registered models and prompts included. Models take along what they are made
    of; with ``all_runs`` also the other runs of the experiments that this is in. Of the versions
    of a model, only those in one of ``stages`` (empty: in any), and with ``latest_versions`` only
    the newest of each stage. ``traces`` of the experiments are taken unless models alone are named,
    those from ``traces_from`` on and before ``traces_until``. Of kinds ``without`` only what is
    needed by others is taken, of those ``ON_REQUEST`` nothing unless they are ``requested``.
    """

    experiments: tuple[str, ...] = ()
    started_from: int | None = None
    until: int | None = None
    include_deleted: bool = False
    models: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    latest_versions: bool = False
    all_runs: bool = False
    traces: bool = True
    traces_from: int | None = None
    traces_until: int | None = None
    without: tuple[Kind, ...] = ()
    requested: bool = False

    @property
    def whole_server(self) -> bool:
        """True when neither experiments nor models are named."""
        return not (self.experiments or self.models)

    @property
    def takes_registry(self) -> bool:
        """True when registered models are copied: because they are named, or with all the rest."""
        left_out = all(map(self.without.__contains__, MODEL_KINDS))
        return (bool(self.models) or self.whole_server) and not left_out

    @property
    def takes_traces(self) -> bool:
        """True when the traces of experiments are copied."""
        wanted = self.traces and Kind.TRACE not in self.without
        return wanted and (self.all_runs or not self.only_models)

    def leaves_out_kind(self, kind: Kind) -> bool:
        """Say whether the user wants nothing of a kind but what others need."""
        unwanted = kind is Kind.TRACE and not self.takes_traces
        return kind in self.without or unwanted or (kind in ON_REQUEST and not self.requested)

    def takes_all_of(self, kind: Kind) -> bool:
        """Say whether all there is of a kind is meant, whatever experiments are named."""
        return self.whole_server or kind in ON_REQUEST

    @property
    def traces_within(self) -> Stretch:
        """The time in which traces have to begin to be copied."""
        last = None if self.traces_until is None else self.traces_until - 1
        return Stretch(self.traces_from, last)

    @property
    def only_models(self) -> bool:
        """True when models are named and experiments are not."""
        return bool(self.models) and not self.experiments

    def leaves_out_content(self, lifecycle_stage: str, started: int | None) -> LeftOut | None:
        """Return why what an experiment holds is left out, or None; see the carrier."""
        if left_out := self.leaves_out_deleted(lifecycle_stage):
            return left_out
        if started is None:
            return None
        if self.started_from is not None and started < self.started_from:
            return LeftOut(LeftOutCode.FILTERED, "started before --run-start-time")
        if self.until is not None and started >= self.until:
            return LeftOut(LeftOutCode.FILTERED, "not started before --runs-until")
        return None

    def leaves_out_experiment(
        self, experiment: Experiment, chosen: frozenset[str] | None
    ) -> LeftOut | None:
        """Return why an experiment is left out, or None; ``chosen`` are ids, None for all."""
        if self.leaves_out_kind(experiment.ref.kind):
            return LeftOut(LeftOutCode.NOT_SELECTED, "not selected by --kinds")
        if chosen is not None and experiment.experiment_id not in chosen:
            return LeftOut(LeftOutCode.NOT_SELECTED, "not selected by --experiments")
        return self.leaves_out_deleted(experiment.lifecycle_stage)

    def leaves_out_deleted(self, lifecycle_stage: str) -> LeftOut | None:
        """Return why what is in this stage is left out, or None."""
        if lifecycle_stage == DELETED and not self.include_deleted:
            text = "deleted (take it along with --include-deleted)"
            return LeftOut(LeftOutCode.DELETED, text)
        return None

    def leaves_out_version(self, version: ModelVersion, newest: bool) -> LeftOut | None:
        """Return why a version is left out, or None; ``newest`` is it of its stage.

        Versions of prompts have no stages, and are never left out.
        """
        if version.is_of_prompt:
            return None
        if self.stages and version.stage not in self.stages:
            text = f"its stage {version.stage} is not selected by --stages"
            return LeftOut(LeftOutCode.FILTERED, text)
        if self.latest_versions and not newest:
            text = "not the newest of its stage (--export-latest-versions)"
            return LeftOut(LeftOutCode.FILTERED, text)
        return None

    def as_options(self) -> dict[str, Any]:
        """Return the selection as JSON values."""
        return {
            "experiments": list(self.experiments),
            "run_start_time": self.started_from,
            "runs_until": self.until,
            "include_deleted": self.include_deleted,
            "models": list(self.models),
            "stages": list(self.stages),
            "export_latest_versions": self.latest_versions,
            "export_all_runs": self.all_runs,
            "traces": "" if self.traces else NO_TRACES,
            "trace_start_time": self.traces_from,
            "traces_until": self.traces_until,
            "without": [str(kind) for kind in self.without],
            "requested": self.requested,
        }


def selection_from_options(options: Mapping[str, Any]) -> Selection:
    """Read back what ``as_options`` gave. Raises ``TypeError`` and ``ValueError`` for the rest."""
    return Selection(
        experiments=texts_in(options.get("experiments", ())),
        started_from=_time(options.get("run_start_time")),
        until=_time(options.get("runs_until")),
        include_deleted=bool(options.get("include_deleted")),
        models=texts_in(options.get("models", ())),
        stages=texts_in(options.get("stages", ())),
        latest_versions=bool(options.get("export_latest_versions")),
        all_runs=bool(options.get("export_all_runs")),
        traces=options.get("traces") != NO_TRACES,
        traces_from=_time(options.get("trace_start_time")),
        traces_until=_time(options.get("traces_until")),
        without=tuple(map(Kind, options.get("without", ()))),
        requested=bool(options.get("requested")),
    )


def texts_in(value: Any) -> tuple[str, ...]:
    """Return the texts that an option is kept as. Raises ``TypeError`` for a number."""
    return tuple(map(str, value or ()))


def _time(value: Any) -> int | None:
    return None if value is None else int(value)


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
    by_name = {item.name: item.experiment_id for item in experiments}
    chosen = _choose(tokens, by_name, {item.experiment_id for item in experiments})
    if chosen is not None and chosen.unknown:
        names = sorted(by_name)
        raise UsageError(
            f"no experiment at the source is called or numbered: {_quoted(chosen.unknown)}",
            _nearest(chosen.unknown, names)
            or f"the source has {len(names)} experiments; see them with: {_LOOK}",
        )
    return chosen and chosen.keys


def choose_models(tokens: Sequence[str], names: Collection[str]) -> frozenset[str] | None:
    """Return the names that the tokens select, None for all; tokens as for experiments.

    Where ``needs_all_names`` is False, ``names`` may be only those of ``candidate_names`` that
    exist. Raises ``UsageError`` naming every token that selects nothing.
    """
    chosen = _choose(tokens, {name: name for name in names}, frozenset())
    if chosen is not None and chosen.unknown:
        raise UsageError(
            f"no registered model at the source is called: {_quoted(chosen.unknown)}",
            _nearest(chosen.unknown, sorted(names)) or f"see what there is with: {_LOOK}",
        )
    return chosen and chosen.keys


def needs_all_names(tokens: Sequence[str]) -> bool:
    """Say whether all names have to be known to tell what the tokens select.

    Without ``all`` and ``prefix*`` it is enough to look for the ``candidate_names``.
    """
    return any(name == ALL or name.endswith("*") for name in candidate_names(tokens))


def candidate_names(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return everything the tokens may name: each as a whole, and the parts of comma lists."""
    return tuple(dict.fromkeys(name for token in tokens for name in (token, *_parts(token))))


_LOOK = "migrate plan SOURCE TARGET"


class _Chosen(NamedTuple):
    keys: frozenset[str]
    unknown: tuple[str, ...]


def _choose(
    tokens: Sequence[str], by_name: Mapping[str, str], ids: Collection[str]
) -> _Chosen | None:
    """Return the keys (values of ``by_name``, or ``ids``) that the tokens select, None for all."""
    if not tokens or ALL in tokens:
        return None

    def select(token: str) -> set[str]:
        if token in by_name:
            return {by_name[token]}
        if token in ids:
            return {token}
        if token.endswith("*"):
            return {key for name, key in by_name.items() if name.startswith(token[:-1])}
        return set()

    chosen: set[str] = set()
    unknown: list[str] = []
    for token in tokens:
        found = select(token)
        if found:
            chosen |= found
            continue
        parts = _parts(token)
        if ALL in parts:
            return None
        unknown += [part for part in parts if not select(part)] or ([] if parts else [token])
        for part in parts:
            chosen |= select(part)
    return _Chosen(frozenset(chosen), tuple(unknown))


def _parts(token: str) -> list[str]:
    return [part.strip() for part in token.split(",") if part.strip()]


def _quoted(tokens: Sequence[str]) -> str:
    return ", ".join(map(repr, tokens))


def _nearest(unknown: Sequence[str], names: Sequence[str]) -> str:
    close = get_close_matches(unknown[0], names, n=3)
    return "did you mean " + " or ".join(map(repr, close)) + "?" if close else ""


def parse_stages(values: Sequence[str]) -> tuple[str, ...]:
    """Return the stages that an option's values name, each once and as MLflow spells it.

    A value is a stage in any case, or a comma list of such. Raises ``UsageError``.
    """
    spelled = {stage.lower(): stage for stage in STAGES}
    named: set[str] = set()
    for value in values:
        for part in _parts(value) or [value]:
            if part.lower() not in spelled:
                raise UsageError(
                    f"--stages {part!r} is no stage of a model version",
                    f"the stages are {', '.join(STAGES)}",
                )
            named.add(spelled[part.lower()])
    return tuple(stage for stage in STAGES if stage in named)


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
