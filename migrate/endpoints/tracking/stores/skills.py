"""Skills of a tracking server's registry of these (MLflow 3.18)."""

from __future__ import annotations

import builtins
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote

from migrate.endpoints.shapes import (
    Object,
    ident,
    objects,
    pairs,
    required_text,
    text,
    text_or_none,
    told_id,
    version_number,
)
from migrate.endpoints.skill_archives import archive_of
from migrate.endpoints.stores import Found
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.entries import Entries, Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.http.forms import Form as Body
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import SKILLS as PART
from migrate.endpoints.tracking.stores.record import RecordStore
from migrate.endpoints.tracking.stores.staged_versions import DRAFT, StagedVersions, said_by_itself
from migrate.errors import EndpointError, NotFound, Refused
from migrate.in_turn import in_turn
from migrate.kinds import Kind, Ref
from migrate.objects import ArtifactRoot
from migrate.outcomes import Loss, LossCode, loss_of
from migrate.records.skills import PASSED_OVER, Skill, SkillFiles, SkillVersion, skill_identity

SKILLS = PART.path
PER_PAGE = 100
#: Skills whose versions are asked for at a time.
AT_ONCE = 4
FORM = Form(Kind.SKILL, lambda entry: Told(told_id(entry, "name")))
#: Numbers of versions that are deleted at the source and passed over, in one skill.
MOST_PASSED_OVER = 1_000
#: What a version is made of that only takes a number.
_PASSED_OVER = {"source_type": "git", "source": PASSED_OVER}


class SkillStore(RecordStore[Skill]):
    """Skills, each with its versions and aliases; implements ``HoldsContents`` for versions.

    The server gives a version its number: one more than the highest it ever gave. What a version is
    made of is never changed, and one that is deleted keeps its number.
    """

    kind = Kind.SKILL
    part = PART

    def __init__(self, http: HttpSession, entries: Entries, artifacts: ArtifactStores) -> None:
        super().__init__(http, entries)
        self._artifacts = artifacts
        self._versions = StagedVersions(http)

    def list(self, containers: Sequence[str]) -> Iterator[Skill]:
        """See ``Store.list``."""
        pages = self._http.get_pages(SKILLS, {"max_results": PER_PAGE})
        found = self._entries.all(pages, "skills", FORM, skill_from)
        in_order = sorted(found, key=lambda it: (it.creation_timestamp or 0, it.identity))
        yield from in_turn(AT_ONCE, (partial(self._whole, it) for it in in_order))

    def _whole(self, skill: Skill) -> Skill:
        """Return a skill with its versions."""
        place = f"{_path(skill.identity)}/versions"
        pages = self._http.get_pages(place, {"max_results": PER_PAGE})
        form = Form(self.kind, lambda _: Told(skill.identity))
        found = self._entries.all(pages, "skill_versions", form, _version_from)
        return replace(skill, versions=tuple(sorted(found, key=lambda it: it.version)))

    def read(self, ids: Sequence[str]) -> builtins.list[Skill]:
        """See ``Store.read``."""
        found = []
        for identity in ids:
            with suppress(NotFound, Refused):  # the latter is said of a name that none can have
                found.append(self._whole(skill_from(self._http.get(_path(identity)))))
        return found

    def find(
        self, container: str, keys: Collection[str] | None = None
    ) -> Mapping[str, Sequence[Found[Skill]]]:
        """See ``Store.find``."""
        found = self.list(()) if keys is None else self.read(sorted(keys))
        return {it.identity: [Found(it)] for it in found}

    def create(self, container: str, wanted: Skill) -> Skill:
        """See ``Store.create``: without its versions."""
        body: dict[str, Any] = {"name": wanted.name, "organization": wanted.organization}
        if wanted.description is not None:
            body["description"] = wanted.description
        if wanted.icons:
            body["icons"] = builtins.list(wanted.icons)
        answer = self._http.post(SKILLS, body, idempotent=False)
        with read_once():
            return skill_from(answer)

    def contents(self, holder: Skill) -> Iterator[Sequence[SkillFiles]]:
        """See ``HoldsContents.contents``: its versions, in the order of their numbers."""
        for version in holder.versions:
            files = partial(self._archive, holder, version) if version.is_kept else None
            yield [SkillFiles(version, files)]

    def _archive(self, skill: Skill, version: SkillVersion) -> AbstractContextManager[BinaryIO]:
        where = "/".join(it for it in (version.source.rstrip("/"), version.subpath) if it)
        if not where.startswith("mlflow-artifacts:/"):
            raise EndpointError(f"its files are at {where}, where MLflow keeps none of a skill")
        root = ArtifactRoot(Ref(self.kind, skill.identity), where)
        return archive_of(self._artifacts.store(root), where)

    def add(self, holder: Skill, contents: Sequence[SkillFiles]) -> Sequence[Loss]:
        """See ``HoldsContents.add``: versions that are not there yet, as drafts."""
        refused: builtins.list[Loss] = []
        # A version that was deleted since may have a higher number than any that is shown.
        highest = max((it.version for it in holder.versions), default=0)
        for files in contents:
            try:
                highest = self._add(_path(holder.identity), files, highest)
            except (Refused, NotFound) as problem:
                reason = f"refused by the target: {problem}"
                refused.append(Loss(f"version {files.version.version}", reason))
            except EndpointError as problem:
                name = f"version {files.version.version}"
                refused.append(loss_of(LossCode.NOT_DELIVERED, name, problem))
        return refused

    def _add(self, path: str, files: SkillFiles, highest: int) -> int:
        """Make a version under its own number, and return that; ``highest`` is there before it."""
        wanted = files.version
        if files.open is None:
            self._pass_over(path, highest, wanted.version)
            made_of = ("source_type", "source", "ref", "subpath", "digest")
            body = {it: getattr(wanted, it) for it in made_of if getattr(wanted, it)}
            return self._required(path, self._made(path, body), wanted.version)
        with files.open() as archive:
            self._pass_over(path, highest, wanted.version)
            # The server holds what arrives against the digest.
            body = {"status": DRAFT, **({"digest": wanted.digest} if wanted.digest else {})}
            answer = self._http.post_form(f"{path}/versions", Body(json.dumps(body), archive))
        with read_once():
            made = version_number(answer)
        return self._required(path, made, wanted.version)

    def _made(self, path: str, made_of: Mapping[str, str]) -> int:
        body = {"status": DRAFT, **made_of}
        answer = self._http.post(f"{path}/versions", body, idempotent=False)
        with read_once():
            return version_number(answer)

    def _pass_over(self, path: str, highest: int, number: int) -> None:
        """Have ``number`` come next: the free ones before it are taken.

        What takes them stays until ``finish``: it shows whoever goes on after a kill which number
        comes next.
        """
        if number <= highest:
            raise Refused(_used_up(number))
        if number - highest > MOST_PASSED_OVER:
            raise Refused(f"more than {MOST_PASSED_OVER} numbers before it are not there")
        while highest + 1 < number:
            highest = self._made(path, _PASSED_OVER)
            if highest >= number:
                self._versions.delete(f"{path}/versions/{highest}", DRAFT)
                raise Refused(_used_up(number))

    def _required(self, path: str, made: int, number: int) -> int:
        """Return the number of a version; delete one that is not its own, and raise ``Refused``."""
        if made != number:
            self._versions.delete(f"{path}/versions/{made}", DRAFT)
            raise Refused(_used_up(number))
        return made

    def finish(
        self, copy: Skill, wanted: Skill, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. Versions are there, but for those that were refused."""
        path = _path(wanted.identity)
        copy = self._whole(skill_from(self._http.get(path)))
        changed = {
            it: getattr(wanted, it) or None
            for it in ("description", "icons")
            if getattr(copy, it) != getattr(wanted, it)
        }
        if changed:
            self._http.change("PATCH", path, changed)
        self._versions.tag(path, copy.tags, wanted.tags)
        taking = {it.version for it in copy.versions if it.is_passed_over}
        there = {it.version: it for it in copy.versions if it.version not in taking}
        for version in wanted.versions:
            place = f"{path}/versions/{version.version}"
            if (old := there.get(version.version)) is not None:
                self._versions.move(place, old.status, version.status)
                self._versions.tag(place, old.tags, version.tags)
        aliases = {alias: it for alias, it in wanted.aliases.items() if it in there}
        lost = sorted(wanted.aliases.keys() - aliases.keys())
        refused = [Loss(f"alias {alias}", "its version is not there") for alias in lost]
        refused += self._versions.set_aliases(path, copy.aliases, aliases)
        self._versions.remove_aliases(path, copy.aliases, wanted.aliases)
        numbers = {it.version for it in wanted.versions}
        last = max(there.keys() & numbers, default=0)
        passed_over = {it for it in taking if it < last}
        for number in sorted(passed_over | (there.keys() - numbers)):
            status = there[number].status if number in there else DRAFT
            self._versions.delete(f"{path}/versions/{number}", status)
        return refused

    def delete(self, copy: Skill) -> None:
        """See ``Store.delete``."""
        with suppress(NotFound):
            self._http.change("DELETE", _path(copy.identity), {})


def skill_from(body: Object) -> Skill:
    """Read a skill of a list or a GET, without its versions. Raises ``Malformed``."""
    return Skill(
        identity=skill_identity(text(body, "organization"), ident(body, "name")),
        description=text_or_none(body, "description"),
        icons=tuple(map(dict, objects(body, "icons"))),
        tags=pairs(body, "tags"),
        aliases={required_text(it, "alias"): version_number(it) for it in objects(body, "aliases")},
        **said_by_itself(body),
    )


def _version_from(body: Object) -> SkillVersion:
    return SkillVersion(
        version=version_number(body),
        status=text(body, "status", DRAFT),
        source_type=text(body, "source_type"),
        source=text(body, "source"),
        ref=text(body, "ref"),
        subpath=text(body, "subpath"),
        digest=text(body, "digest"),
        tags=pairs(body, "tags"),
        **said_by_itself(body),
    )


def _used_up(number: int) -> str:
    return (
        f"number {number} is used up on the target: a later version, or a deleted one, has it (to "
        "have all of them, delete the skill there and run this again)"
    )


def _path(identity: str) -> str:
    return "/".join([SKILLS, *(quote(it, safe="@") for it in identity.split("/"))])
