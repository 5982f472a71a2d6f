"""Kinds of one record an object: a file each, which appears whole and whose damage costs itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.directory import ExportDirectory, endpoint
from migrate.endpoints.directory.stores.simple import Simple
from migrate.endpoints.stores import Bookkeeping, Found, Identity, Store
from migrate.errors import AlreadyExists, DirectoryError, NotFound, Refused
from migrate.kinds import Kind, Ref
from migrate.objects import Loss, LossCode
from migrate.outcomes import loss_of

LOST = (loss_of(LossCode.NOT_DELIVERED, "secret", "no server tells it"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A kind that nothing holds."""

    hook_id: str
    url: str = "https://example.org"
    tags: Mapping[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A kind that experiments hold."""

    scorer_id: str
    experiment_id: str = ""
    threshold: float = 0.5


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds that are kept so."""
    hooks = Simple(kind=Kind.WEBHOOK, record=Hook, ident="hook_id", created="creation_time")
    scorers = Simple(kind=Kind.SCORER, record=Scorer, ident="scorer_id", container="experiment_id")
    monkeypatch.setattr(endpoint, "SIMPLE", (hooks, scorers))


def store(path: Path, kind: Kind = Kind.WEBHOOK, *, writable: bool = True) -> Store[Any]:
    """The store of a kind in the export at a path."""
    found = ExportDirectory(path, writable=writable).store(kind)
    assert found is not None
    return found


def file_of(path: Path, ident: str) -> Path:
    """Where a hook with a harmless id is."""
    return path / "webhooks" / f"{ident}.webhook.json"


def copied(hooks: Store[Any], *copies: Any, mark: str = "m") -> None:
    """Create and finish copies."""
    for copy in copies:
        hooks.finish(hooks.create("", copy), copy, mark)


def test_a_kind_without_a_record_has_no_store(tmp_path: Path) -> None:
    assert ExportDirectory(tmp_path, writable=True).store(Kind.GATEWAY_SECRET) is None


def test_a_copy_keeps_its_id_and_its_mark(tmp_path: Path) -> None:
    hook = Hook(hook_id="h1", tags={"b": "1", "a": "2"}, creation_time=5)
    hooks = store(tmp_path)
    assert (hooks.identity, hooks.bookkeeping) == (Identity.KEPT, Bookkeeping.SIDECAR)
    assert hooks.find("") == {}
    copy = hooks.create("", hook)
    assert hooks.find("", ["h1", "h2"]) == {"h1": [Found(hook)]}
    hooks.finish(copy, replace(hook, url="u"), "m")
    assert hooks.find("") == {"h1": [Found(replace(hook, url="u"), "m")]}
    with pytest.raises(AlreadyExists, match="h1"):
        hooks.create("", hook)
    assert store(tmp_path, writable=False).read(["h2", "h1"]) == [replace(hook, url="u")]


def test_the_file_is_one_of_an_export(tmp_path: Path) -> None:
    copied(store(tmp_path), Hook(hook_id="h1", creation_time=5))
    document = json.loads(file_of(tmp_path, "h1").read_text())
    assert document["system"]["mlflow_migrate"] == {"format_version": 1, "mark": "m"}
    assert document["system"]["export_file_version"] == "2"
    assert document["mlflow"] == {
        "webhook": {
            "hook_id": "h1",
            "url": "https://example.org",
            "tags": {},
            "creation_time": 5,
        }
    }


def test_finishing_twice_writes_once(tmp_path: Path) -> None:
    hooks, hook = store(tmp_path), Hook(hook_id="h1")
    copied(hooks, hook)
    written = file_of(tmp_path, "h1").stat().st_ino
    hooks.finish(hook, hook, "m")
    assert file_of(tmp_path, "h1").stat().st_ino == written
    hooks.finish(hook, hook, "other")
    assert file_of(tmp_path, "h1").stat().st_ino != written
    assert [it.name for it in (tmp_path / "webhooks").iterdir()] == ["h1.webhook.json"]


def test_they_are_listed_in_order_of_creation(tmp_path: Path) -> None:
    times = {"a": 3, "b": 1, "c": 2}
    copied(store(tmp_path), *(Hook(hook_id=it, creation_time=times[it]) for it in times))
    found = store(tmp_path, writable=False).list([])
    assert [hook.hook_id for hook in found] == ["b", "c", "a"]


def test_what_is_held_is_found_where_it_is_held(tmp_path: Path) -> None:
    scorers = store(tmp_path, Kind.SCORER)
    scorers.create("1", Scorer(scorer_id="s1", threshold=0.25))
    scorers.create("../2", Scorer(scorer_id="s2", experiment_id="9"))
    assert scorers.find("1", ["s2", "s1"]).keys() == {"s1"}
    assert [it.scorer_id for it in scorers.list(["../2", "3", "1"])] == ["s2", "s1"]
    assert list(scorers.read(["s2"])) == [Scorer(scorer_id="s2", experiment_id="../2")]
    assert len(list((tmp_path / "scorers").iterdir())) == 2


@pytest.mark.parametrize(
    "ident", ["../up", "CON", ".hidden", "a/b", "x" * 300, "\ud800", "ü", "h1"]
)
def test_any_id_has_a_file_of_its_own(tmp_path: Path, ident: str) -> None:
    hooks = store(tmp_path)
    copied(hooks, Hook(hook_id="h0"), Hook(hook_id=ident))
    assert hooks.find("", [ident])[ident][0].record == Hook(hook_id=ident)
    assert {it.hook_id for it in hooks.list([])} == {"h0", ident}
    assert len(list((tmp_path / "webhooks").iterdir())) == 2


def test_a_damaged_file_costs_itself_and_is_written_anew(tmp_path: Path) -> None:
    copied(store(tmp_path), Hook(hook_id="h1"), Hook(hook_id="h2"))
    file_of(tmp_path, "h1").write_text('{"system": {}, "mlflow": {"webhook": {"url": 7')
    source = ExportDirectory(tmp_path, writable=False)
    hooks = source.store(Kind.WEBHOOK)
    assert hooks is not None
    assert [it.hook_id for it in hooks.list([])] == ["h2"]
    reported = source.unreadable.of(Ref(Kind.WEBHOOK, "h1"))
    assert reported is not None
    assert "not valid JSON" in reported.reason
    with pytest.raises(DirectoryError, match=r"h1\.webhook\.json"):
        hooks.read(["h1"])
    target = store(tmp_path)
    assert target.find("", ["h1"]) == {}
    copied(target, Hook(hook_id="h1"))
    assert [it.hook_id for it in hooks.list([])] == ["h1", "h2"]
    assert source.unreadable.all() == []


def test_what_belongs_elsewhere_is_damage(tmp_path: Path) -> None:
    copied(store(tmp_path), Hook(hook_id="h1"))
    file_of(tmp_path, "h1").rename(file_of(tmp_path, "h2"))
    with pytest.raises(DirectoryError, match="'h1', which has another place"):
        store(tmp_path, writable=False).read(["h2"])


def test_a_newer_format_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    copied(store(tmp_path), Hook(hook_id="h1"))
    document = json.loads(file_of(tmp_path, "h1").read_text())
    document["system"]["mlflow_migrate"]["format_version"] = 2
    file_of(tmp_path, "h1").write_text(json.dumps(document))
    with pytest.raises(DirectoryError, match="format 2"):
        store(tmp_path).create("", Hook(hook_id="h1"))


def test_deleting_may_be_repeated(tmp_path: Path) -> None:
    hooks, hook = store(tmp_path), Hook(hook_id="h1")
    copied(hooks, hook)
    hooks.delete(hook)
    hooks.delete(hook)
    assert list(hooks.list([])) == []
    with pytest.raises(NotFound):
        hooks.finish(hook, hook, "m")


def test_what_is_lost_of_a_copy_is_kept_with_it(tmp_path: Path) -> None:
    hooks, hook = store(tmp_path), Hook(hook_id="h1")
    copied(hooks, hook)
    target = ExportDirectory(tmp_path, writable=True)
    target.keep_losses(Ref(Kind.WEBHOOK, "h1"), LOST)
    assert hooks.find("")["h1"][0].losses == LOST
    hooks.finish(hook, hook, "n", LOST)
    lossy = replace(hook, losses=LOST)
    assert hooks.find("") == {"h1": [Found(lossy, "n", LOST)]}
    assert list(store(tmp_path, writable=False).list([])) == [lossy]


def test_a_source_is_not_written_to(tmp_path: Path) -> None:
    copied(store(tmp_path), Hook(hook_id="h1"))
    source, hook = store(tmp_path, writable=False), Hook(hook_id="h1")
    for write in (
        lambda: source.create("", Hook(hook_id="h2")),
        lambda: source.finish(hook, hook, "n"),
        lambda: source.delete(hook),
    ):
        with pytest.raises(Refused):
            write()
