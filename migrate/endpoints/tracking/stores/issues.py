"""Issues of a tracking server (MLflow 3.11). MLflow deletes none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from migrate.endpoints.shapes import Object, ident, integer, required, text, texts, told_id
from migrate.endpoints.tracking.entries import Form, Told
from migrate.endpoints.tracking.http.errors import read_once
from migrate.endpoints.tracking.parts import ISSUES as PART
from migrate.endpoints.tracking.parts import NEWER_API
from migrate.endpoints.tracking.stores.record import KeyedStore
from migrate.errors import Refused
from migrate.kinds import Kind
from migrate.outcomes import Loss
from migrate.records.issues import Issue

ISSUES = f"{NEWER_API}/issues"
PER_PAGE = 1000
#: Of more experiments, those of all are listed, and looked through.
ASKED_ONE_BY_ONE = 10
FORM = Form(
    Kind.ISSUE, lambda entry: Told(told_id(entry, "issue_id"), told_id(entry, "experiment_id"))
)
#: What an update changes, as far as it is not empty.
_CHANGED = ("name", "description", "status", "severity")
#: What only a create sets.
_FIXED = ("root_causes", "categories", "source_run_id", "created_by")


class IssueStore(KeyedStore[Issue]):
    """Issues of experiments."""

    kind = Kind.ISSUE
    part = PART

    def list(self, containers: Sequence[str]) -> Iterator[Issue]:
        """See ``Store.list``."""
        asked = [{"experiment_id": it} for it in containers]
        if len(containers) > ASKED_ONE_BY_ONE:
            asked = [{}]
        wanted = frozenset(containers)
        for which in asked:
            pages = self._http.pages(PART.path, {**which, "max_results": PER_PAGE})
            found = self._entries.all(pages, "issues", FORM, issue_from)
            yield from sorted(
                (issue for issue in found if issue.experiment_id in wanted),
                key=lambda it: (it.created_timestamp or 0, it.issue_id),
            )

    def _read(self, ident: str) -> Issue:
        return issue_from(required(self._http.get(_path(ident)), "issue"))

    def create(self, container: str, wanted: Issue) -> Issue:
        """See ``Store.create``."""
        body = {"experiment_id": container}
        body |= {name: getattr(wanted, name) for name in (*_CHANGED, *_FIXED)}
        filled = {name: value for name, value in body.items() if value}
        answer = self._http.post(ISSUES, filled, idempotent=False)
        with read_once():
            return issue_from(required(answer, "issue"))

    def finish(
        self, copy: Issue, wanted: Issue, mark: str, losses: Sequence[Loss] = ()
    ) -> Sequence[Loss]:
        """See ``Store.finish``. An issue keeps what MLflow lets no update change."""
        changed = {
            name: getattr(wanted, name)
            for name in _CHANGED
            if getattr(wanted, name) != getattr(copy, name)
        }
        if changed:
            self._http.change("PATCH", _path(copy.issue_id), {"issue_id": copy.issue_id, **changed})
        kept = [name for name in _FIXED if getattr(wanted, name) != getattr(copy, name)]
        kept += [name for name, value in changed.items() if not value]
        return tuple(Loss(name, "MLflow changes it on no issue that is there") for name in kept)

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
    )


def _path(issue_id: str) -> str:
    return f"{ISSUES}/{quote(issue_id, safe='')}"
