"""Issues of a tracking server (MLflow 3.11). MLflow deletes none."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from migrate.endpoints.shapes import (
    Object,
    ident,
    integer,
    member,
    pairs,
    required,
    text,
    texts,
    told_id,
)
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import ISSUES as PART
from migrate.endpoints.tracking.parts import NEWER_API
from migrate.endpoints.tracking.stores.record import KeyedStore
from migrate.errors import AlreadyExists, Refused
from migrate.in_turn import in_turn
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.issues import Issue

#: Searches under way at a time.
AT_ONCE = 4
ISSUES = f"{NEWER_API}/issues"
PER_PAGE = 1000
#: Of more experiments, those of all are listed, and looked through.
ASKED_ONE_BY_ONE = 10
FORM = Form(
    Kind.ISSUE, lambda entry: Told(told_id(entry, "issue_id"), told_id(entry, "experiment_id"))
)
#: What an update changes, as far as it is not empty.
_CHANGED = ("name", "description", "status", "severity")
#: What an update changes since MLflow 3.18, before which only a create sets it.
_LISTED = ("categories",)
#: What an update makes empty since then.
_EMPTIED = ("description",)
#: What only a create sets.
_FIXED = ("root_causes", "source_run_id", "created_by")
#: Which ids a create takes since MLflow 3.18; older servers give out their own.
_TAKEN_ID = re.compile(r"iss-[A-Za-z0-9_-]{1,32}")
_STAYS = "MLflow changes it on no issue that is there"
_REASONS = {
    "source_run_id": f"the target takes no run of another experiment, and {_STAYS}",
    "last_seen_timestamp": "MLflow sets it back on no issue",
    "last_updated_by": "the target puts in its place who writes",
}


class IssueStore(KeyedStore[Issue]):
    """Issues of experiments."""

    kind = Kind.ISSUE
    part = PART

    def list(self, containers: Sequence[str]) -> Iterator[Issue]:
        """See ``Store.list``."""
        asked = [{"experiment_id": it} for it in containers]
        if len(containers) > ASKED_ONE_BY_ONE:
            asked = [{}]
        calls = (partial(self._found, which, frozenset(containers)) for which in asked)
        for found in in_turn(AT_ONCE, calls):
            yield from found

    def _found(self, which: Mapping[str, str], wanted: Container[str]) -> Sequence[Issue]:
        """Return the issues of a search that are in the ``wanted`` experiments, oldest first."""
        pages = self._http.pages(PART.path, {**which, "max_results": PER_PAGE})
        found = self._entries.all(pages, "issues", FORM, issue_from)
        mine = (issue for issue in found if issue.experiment_id in wanted)
        return sorted(mine, key=lambda it: (it.created_timestamp or 0, it.issue_id))

    def _read(self, ident: str) -> Issue:
        return issue_from(required(self._http.get(_path(ident)), "issue"))

    def create(self, container: str, wanted: Issue) -> Issue:
        """See ``Store.create``. It keeps its id where the server takes it, and nothing has it."""
        body: dict[str, Any] = {"experiment_id": container, "metadata": wanted.metadata}
        body |= {name: getattr(wanted, name) for name in (*_CHANGED, *_LISTED, *_FIXED)}
        # As MLflow's own upgrade to 3.18 takes it where it is not known.
        seen = wanted.last_seen_timestamp
        body["last_seen_timestamp"] = wanted.created_timestamp if seen is None else seen
        if _TAKEN_ID.fullmatch(wanted.issue_id):
            body["issue_id"] = wanted.issue_id
        filled = {name: value for name, value in body.items() if value}
        try:
            return self._created(filled)
        except AlreadyExists:
            taken = self.read([filled.pop("issue_id")]) if "issue_id" in filled else ()
            mine = [it for it in taken if it.experiment_id == container and it.key == wanted.key]
            if mine or "issue_id" not in body:
                raise
            return self._created(filled)

    def _created(self, body: dict[str, Any]) -> Issue:
        try:
            answer = self._http.post(ISSUES, body, idempotent=False)
        except Refused:
            # Since MLflow 3.18 a run of another experiment is; else this is refused as well.
            if not body.pop("source_run_id", ""):
                raise
            answer = self._http.post(ISSUES, body, idempotent=False)
        with read_once():
            return issue_from(required(answer, "issue"))

    def finish(
        self, copy: Issue, wanted: Issue, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. An issue keeps what MLflow lets no update change."""
        changed = {name: getattr(wanted, name) for name in _differing(copy, wanted, _CHANGED)}
        emptied = _EMPTIED if copy.is_of_3_18 else ()
        sent = {name: value for name, value in changed.items() if value or name in emptied}
        kept = [*(changed.keys() - sent.keys()), *_differing(copy, wanted, _FIXED)]
        if copy.is_of_3_18:
            sent |= _sent_since_3_18(copy, wanted)
            kept += _refused_since_3_18(copy, wanted)
        else:
            kept += _differing(copy, wanted, _LISTED)
        if sent:
            body = {"issue_id": copy.issue_id, **sent}
            answer = self._http.change("PATCH", _path(copy.issue_id), body)
            if "last_updated_by" in sent and _names_another(answer, wanted):
                kept.append("last_updated_by")
        return tuple(Loss(name, _REASONS.get(name, _STAYS)) for name in kept)

    def delete(self, copy: Issue) -> None:
        """Raise ``Refused``: MLflow deletes no issue."""
        raise Refused(f"issue {copy.issue_id} stays: MLflow deletes no issue")


def issue_from(body: Object) -> Issue:
    """Read an issue of ``issues/search`` or of a GET. Raises ``Malformed``."""
    return Issue(
        issue_id=ident(body, "issue_id"),
        experiment_id=ident(body, "experiment_id"),
        name=text(body, "name"),
        description=text(body, "description"),
        status=text(body, "status"),
        severity=text(body, "severity"),
        root_causes=tuple(texts(body, "root_causes")),
        categories=tuple(texts(body, "categories")),
        source_run_id=text(body, "source_run_id"),
        created_by=text(body, "created_by"),
        created_timestamp=integer(body, "created_timestamp"),
        last_updated_timestamp=integer(body, "last_updated_timestamp"),
        last_seen_timestamp=integer(body, "last_seen_timestamp"),
        last_updated_by=text(body, "last_updated_by"),
        metadata=dict(sorted(pairs(body, "metadata").items())),
    )


def _differing(copy: Issue, wanted: Issue, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(wanted, name) != getattr(copy, name)]


def _sent_since_3_18(copy: Issue, wanted: Issue) -> dict[str, Any]:
    """Return what an update changes on a server from 3.18 on, beyond what it does on others."""
    sent: dict[str, Any] = {
        name: list(getattr(wanted, name)) for name in _differing(copy, wanted, _LISTED)
    }
    if not wanted.is_of_3_18:
        return sent
    if (wanted.last_seen_timestamp or 0) > (copy.last_seen_timestamp or 0):
        sent["last_seen_timestamp"] = wanted.last_seen_timestamp
    if wanted.last_updated_by not in ("", copy.last_updated_by) and not _puts_in_users(
        copy, wanted
    ):
        sent["last_updated_by"] = wanted.last_updated_by
    there = copy.metadata
    if new := {key: it for key, it in wanted.metadata.items() if there.get(key) != it}:
        sent["metadata"] = new
    if gone := sorted(there.keys() - wanted.metadata.keys()):
        sent["delete_metadata_keys"] = gone
    return sent


def _refused_since_3_18(copy: Issue, wanted: Issue) -> list[str]:
    """Return what no update brings to what is wanted on a server from 3.18 on."""
    if not wanted.is_of_3_18:
        return []
    refused = {
        "last_seen_timestamp": (wanted.last_seen_timestamp or 0) < (copy.last_seen_timestamp or 0),
        "last_updated_by": wanted.last_updated_by not in ("", copy.last_updated_by)
        and _puts_in_users(copy, wanted),
    }
    return [name for name, is_refused in refused.items() if is_refused]


def _puts_in_users(copy: Issue, wanted: Issue) -> bool:
    """Say whether a server showed, when it made a copy, that it says itself who writes."""
    return copy.created_by != wanted.created_by


def _names_another(answer: Object, wanted: Issue) -> bool:
    """Say whether an answer to an update names another one as who made it."""
    shown = text(member(answer, "issue"), "last_updated_by")
    return shown not in ("", wanted.last_updated_by)


def _path(issue_id: str) -> str:
    return f"{ISSUES}/{quote(issue_id, safe='')}"
