"""Which workspace goes into which, for commands that go through all of a source's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import NamedTuple

from migrate.cli.app import print_json
from migrate.cli.choices import NAMES, Choices
from migrate.cli.ends import Ends
from migrate.endpoints.addresses import Address, open_workspaces
from migrate.endpoints.tracking.workspaces import Workspace, Workspaces, is_name
from migrate.errors import EXIT_INTERRUPTED, EXIT_OK, UsageError
from migrate.tasks.experiment import map_location
from migrate.views.layout import result_console, say
from migrate.views.words import printable


@dataclass(frozen=True, slots=True)
class Move:
    """A workspace of the source, and the one that it goes into, which the target may lack.

    ``wanted`` has the settings that the target's would be made with: locations only where they
    are mapped, since those of the source are not the target's to write to.
    """

    source: str
    wanted: Workspace
    exists: bool

    @property
    def target(self) -> str:
        """The name of the target's."""
        return self.wanted.name

    def chosen(self, choices: Choices) -> Choices:
        """Return the choices of a migration between these two."""
        return dataclasses.replace(
            choices, source_workspace=self.source, target_workspace=self.target
        )

    def __str__(self) -> str:
        return f"workspace {self.source} -> {self.target}"


class Done(NamedTuple):
    """What came of a command between two workspaces: as JSON, as text, and its exit code."""

    as_json: Callable[[], Mapping[str, object]]
    show: Callable[[], object]
    code: int = EXIT_OK


def go_through(
    moves: Sequence[Move],
    ends: Ends,
    choices: Choices,
    work: Callable[[Move, Ends, Choices], Done],
    *,
    json: bool,
) -> int:
    """Do the ``work`` of a command for workspace after workspace, and print what came of each.

    Return the exit code of all together. None is begun after an interrupt.
    """
    code = EXIT_OK
    found: list[dict[str, object]] = []
    for move in moves:
        if not json:
            say(result_console(), printable(str(move)), "bold")
        chosen = move.chosen(choices)
        done = work(move, ends.chosen(chosen), chosen)
        code = max(code, done.code)
        if json:
            found.append({"source": move.source, "target": move.target, **done.as_json()})
        else:
            done.show()
        if done.code == EXIT_INTERRUPTED:
            break
    if json:
        print_json(found)
    return code


def asks_for_all(all_workspaces: bool, pairs: Sequence[str] | None) -> bool:
    """Say whether a command goes through all workspaces. Raises ``UsageError``."""
    if pairs and not all_workspaces:
        raise UsageError(
            "--workspace-map is about all workspaces",
            "add --all-workspaces; of one workspace, --target-workspace says where it goes",
        )
    return all_workspaces


def moves_between(
    ends: Ends, choices: Choices, pairs: Sequence[str], *, make: bool = False
) -> Sequence[Move]:
    """Return what goes where: all of the source, by name or as ``pairs`` of OLD=NEW say.

    With ``make`` the target has them all then. Raises ``UsageError`` where an end has no
    workspaces, for a pair that makes no sense, and where two would go into one: what has one name
    in both would be mixed.
    """
    if choices.source_workspace or choices.target_workspace:
        raise UsageError(
            "--all-workspaces goes through all of them, and one was named",
            "leave out --all-workspaces, or --source-workspace and --target-workspace",
        )
    with ExitStack() as stack:
        source, target = (_workspaces_of(end, stack) for end in (ends.source, ends.target))
        found = source.all()
        names = _renamed([it.name for it in found], pairs)
        existing = {it.name for it in target.all()}
        moves = []
        for it in found:
            wanted = dataclasses.replace(
                it,
                name=names[it.name],
                artifact_root=map_location(it.artifact_root, choices.locations),
                archive=map_location(it.archive, choices.locations),
            )
            if make and wanted.name not in existing:
                target.create(wanted)
            moves.append(Move(it.name, wanted, make or wanted.name in existing))
        return moves


def _workspaces_of(end: Address, stack: ExitStack) -> Workspaces:
    workspaces = open_workspaces(end)
    hint = (
        "--all-workspaces goes from one server with workspaces to another; copy one at a time: "
        "name it with --source-workspace, or --target-workspace"
    )
    if workspaces is None:
        raise UsageError(f"{end.shown} has no workspaces", hint)
    stack.enter_context(closing(workspaces))
    workspaces.require(hint)
    return workspaces


def _renamed(names: Collection[str], pairs: Sequence[str]) -> dict[str, str]:
    renamed = {name: name for name in names}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not (old and equals and is_name(new)):
            raise UsageError(f"--workspace-map {pair!r} is not OLD=NEW", NAMES)
        if old not in renamed:
            raise UsageError(
                f"--workspace-map {pair!r}: the source has no workspace {old!r}",
                f"it has {', '.join(sorted(names))}",
            )
        renamed[old] = new
    targets = list(renamed.values())
    for old, new in renamed.items():
        if targets.count(new) > 1:
            raise UsageError(
                f"{old!r} and another workspace would both go into {new!r}, and what has one name "
                "in both would be mixed",
                "give each a workspace of its own with --workspace-map OLD=NEW",
            )
    return renamed
