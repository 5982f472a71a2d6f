"""Both ends of a migration: what the arguments of a command name, and what they cannot be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from migrate import worker
from migrate.cli.choices import Choices
from migrate.cli.stored_choices import choices_of
from migrate.endpoints.addresses import Address
from migrate.endpoints.artifacts.locations import check_new_root, check_root, is_web
from migrate.endpoints.protocols import Endpoint
from migrate.errors import UsageError
from migrate.executors.chosen import Chosen
from migrate.in_turn import in_turn
from migrate.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Both ends of a migration."""

    source: Address
    target: Address

    def chosen(self, choices: Choices) -> Ends:
        """Return the same ends as a plan made with these choices needs them."""
        source, target = (
            # A URI given with this command goes before that of the plan: it has the credentials.
            dataclasses.replace(
                end,
                users=choices.users,
                roles_too=choices.selection.requested,
                passwords=choices.passwords,
                registry_uri=end.registry_uri or registry,
                auth_uri=end.auth_uri or auth,
                artifacts=tuple(dict.fromkeys((*end.artifacts, *roots))),
                workspace=end.workspace or workspace,
            )
            for end, registry, auth, roots, workspace in (
                (
                    self.source,
                    choices.source_registry,
                    choices.source_auth,
                    choices.source_artifacts,
                    choices.source_workspace,
                ),
                (
                    self.target,
                    choices.target_registry,
                    choices.target_auth,
                    choices.target_artifacts,
                    choices.target_workspace,
                ),
            )
        )
        target = dataclasses.replace(target, holds_models=choices.selection.takes_registry)
        if choices.keeps_files:
            own = (str(source.path),) if source.is_file_store else ()
            roots = (*own, *source.artifacts)
            target = dataclasses.replace(target, keeps_files=True, artifacts=roots)
        return Ends(source=source, target=target)

    @property
    def can_share_files(self) -> bool:
        """True where copies can point at the files of their originals."""
        is_export = self.source.is_directory and not self.source.is_file_store
        return self.target.is_database and not is_export

    def before_made(self) -> Ends:
        """Return the same ends with a target that is a workspace which its server is to get."""
        return Ends(source=self.source, target=dataclasses.replace(self.target, unmade=True))

    def only_read(self) -> Ends:
        """Return the same ends with a target that is not written to, nor made when missing."""
        return dataclasses.replace(self, target=dataclasses.replace(self.target, read_only=True))

    def check(self) -> None:
        """Connect to both. Raises ``UsageError`` when they are the same place."""
        worker.source_at(self.source)
        worker.target_at(self.target)
        same = UsageError(
            f"source and target are the same: {self.source.shown}", "name two different ends"
        )
        if _place(self.source) == _place(self.target):
            raise same
        identities = self.identities()
        # Two profiles may lead to one workspace; two directories may be copies of each other.
        if not self.target.is_directory and identities[0] == identities[1]:
            raise same

    def check_executor(self, executor: Chosen) -> None:
        """Raise ``UsageError`` where other processes cannot write to the target."""
        if executor.is_distant and self.target.is_directory:
            raise UsageError(
                f"an export directory is written by one process: {self.target.shown}",
                f"leave out --executor {executor.name.value}; imports and migrations may have it",
            )

    def claim(self) -> None:
        """Keep other writers away from the target. Raises ``TargetInUse``."""
        worker.target_at(self.target).claim()

    def identities(self) -> tuple[str, str]:
        """Return what tells these two from others at the same addresses.

        Two servers are asked at once. Another target may be made for this, and waits till the
        source has answered.
        """
        ends: Sequence[Endpoint] = (worker.source_at(self.source), worker.target_at(self.target))
        calls = [end.capabilities for end in ends]
        at_once = self.source.is_server and self.target.is_server
        source, target = in_turn(len(calls), calls) if at_once else (call() for call in calls)
        return source.identity, target.identity


def _place(address: Address) -> tuple[str, ...]:
    """Return what is alike for two spellings of one place, such as localhost and 127.0.0.1."""
    parts = urlsplit(address.shown)
    if address.is_directory or not parts.hostname:
        return (address.shown,)
    workspace = address.access.workspace or ""
    host = "localhost" if parts.hostname in ("127.0.0.1", "::1") else parts.hostname
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return (host, str(port), parts.path, workspace)


def ends_of(
    source: str, target: str, choices: Choices, *, workers: int, per_second: float | None
) -> Ends:
    """Return the ends that the arguments of a command name. Raises ``UsageError``."""
    ends = Ends(
        source=Address(uri=source, side="source", workers=workers, per_second=per_second),
        target=Address(uri=target, side="target", workers=workers, per_second=per_second),
    )
    if choices.keeps_files and not ends.can_share_files:
        raise UsageError(
            "--artifacts keep goes from a server, database or file store into a database: a "
            "server and a directory have places of their own for files",
            "leave it out",
        )
    _check_places(ends.source, choices.source_artifacts)
    _check_places(ends.target, choices.target_artifacts)
    check = check_new_root if ends.target.is_database else check_root
    for place in choices.target_artifacts:
        check(place, "--target-artifacts")
    return ends.chosen(choices)


def _check_places(end: Address, places: Sequence[str]) -> None:
    """Raise ``UsageError`` for places of files that mean nothing for an end of this kind."""
    option = f"--{end.side}-artifacts"
    if places and end.is_directory and not end.is_file_store:
        raise UsageError(
            f"{option}: the export directory {end.shown} has its files in itself", "leave it out"
        )
    for place in places if not end.is_server else ():
        if is_web(place):
            raise UsageError(
                f"{option} {place}: names a storage that a server signs URLs for, and {end.shown} "
                "is no server",
                "name a folder of this machine, or a place such as s3://bucket/path",
            )


def stored_ends(plan: Plan, workers: int, per_second: float | None) -> Ends:
    """Return the ends of a stored plan; credentials come from the environment."""
    return ends_of(
        plan.source.uri,
        plan.target.uri,
        choices_of(plan),
        workers=workers,
        per_second=per_second,
    )
