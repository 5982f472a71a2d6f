"""A kind that no module of the tool names: one record, one carrier and a store are all it takes."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrate import worker
from migrate.endpoints import addresses
from migrate.endpoints.addresses import Address
from migrate.endpoints.directory import ExportDirectory, endpoint
from migrate.endpoints.directory.stores.simple import SIMPLE, Simple, SimpleStore
from migrate.endpoints.stores import Identity
from migrate.kinds import Kind, Ref
from migrate.objects import Experiment, Run
from migrate.origins import ORIGIN
from migrate.tasks import carriers
from tests.graph.memory import MemoryServer
from tests.kinds.job import Job, Jobs, put_into_experiments
from tests.kinds.memory import MemoryStore
from tests.malformed.worlds import Ended, check_ended, migrate

TITLES = ("bias", "drift", "a very long title " * 9, "Ünïcödé / slashes", "draft of another")
COPIED = tuple(title for title in TITLES if not title.startswith("draft"))


class Server(MemoryServer):
    """A server that has jobs too."""

    def __init__(self, name: str, identity: Identity) -> None:
        super().__init__(name)
        self.jobs = MemoryStore(Jobs(), identity, "job_id")

    def store(self, kind: Kind) -> Any:
        return self.jobs if kind is Kind.JOB else None


class World:
    """A source with jobs, and a target without."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = Server("source", Identity.KEPT)
        self.target = Server("target", Identity.TAGGED)
        self.source.experiments_held["1"] = Experiment(experiment_id="1", name="churn")
        self.source.runs_held["r1"] = Run(
            run_id="r1",
            experiment_id="1",
            name="train",
            user_id="ada",
            status="FINISHED",
            start_time=1,
            end_time=2,
        )
        self.source.points["r1"] = []
        self.source.files["r1"] = {}
        for number, title in enumerate(TITLES):
            run_id = "r1" if number == 0 else "gone" if number == 1 else ""
            job = Job(job_id=f"i{number}", experiment_id="1", title=title, run_id=run_id)
            self.source.jobs.put(job)

    def open(self, address: Address) -> Any:
        known = {"http://source": self.source, "http://target": self.target}
        opens = addresses.open_source if address.side == "source" else addresses.open_target
        return known.get(address.uri) or opens(address)

    def migrate(self, *args: str, target: str = "http://target") -> Ended:
        state = str(self.folder / "state.db")
        ends = () if "--resume" in args else ("http://source", target)
        return migrate(args[0], *ends, *args[1:], "--state", state)

    def titles(self) -> list[str]:
        return sorted(found.record.title for found in self.target.jobs.held.values())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    put_into_experiments(monkeypatch)
    world = World(tmp_path)
    monkeypatch.setattr(carriers, "CARRIERS", (*carriers.CARRIERS, Jobs()))
    for name in ("open_source", "open_target"):
        monkeypatch.setattr(worker, name, world.open)
    simple = Simple(kind=Kind.JOB, record=Job, ident="job_id", container="experiment_id")
    monkeypatch.setattr(endpoint, "SIMPLE", (*SIMPLE, simple))
    return world


def succeeded(ended: Ended) -> str:
    check_ended(ended)
    assert ended.code == 0, ended.output
    return ended.output


def test_it_is_planned_with_its_edges_and_its_reasons(world: World) -> None:
    plan = json.loads(succeeded(world.migrate("plan", "--json")))
    tasks = {task["name"]: task for task in plan["tasks"] if task["kind"] == "job"}
    assert {name: task["action"] for name, task in tasks.items()} == {
        title: "create" if title in COPIED else "skip" for title in TITLES
    }
    assert sorted(tasks["bias"]["needs"]) == ["experiment:1", "run:r1"]
    assert tasks["draft of another"]["reason"] == "a draft"
    assert "in experiment:1" in succeeded(world.migrate("plan", "--why", "job:i1"))


def test_it_is_drawn(world: World) -> None:
    picture = world.folder / "plan.svg"
    succeeded(world.migrate("plan", "--graph", str(picture)))
    assert Jobs.colours[0] in picture.read_text(encoding="utf-8")
    assert "jobs" in picture.read_text(encoding="utf-8")


def test_it_is_copied_listed_in_the_report_and_verified(world: World) -> None:
    ended = world.migrate("run")
    assert "job" in succeeded(ended)
    assert "its run gone is not copied" in ended.output
    assert world.titles() == sorted(COPIED)
    copied = {found.record.title: found.record for found in world.target.jobs.held.values()}
    assert copied["bias"].run_id in world.target.runs_held
    assert copied["drift"].run_id == ""
    assert f"{len(COPIED)} job" in succeeded(world.migrate("verify"))


def test_a_second_run_writes_nothing_and_a_change_is_carried_over(world: World) -> None:
    succeeded(world.migrate("run"))
    world.target.jobs.writes.clear()
    succeeded(world.migrate("run"))
    assert world.target.jobs.writes == []
    changed = dataclasses.replace(world.source.jobs.held["i0"].record, tags={"seen": "yes"})
    world.source.jobs.put(changed)
    succeeded(world.migrate("run"))
    assert world.target.jobs.writes == ["finish"]
    assert world.titles() == sorted(COPIED)


def test_what_it_names_and_arrives_later_completes_it(world: World) -> None:
    succeeded(world.migrate("run"))
    gone = dataclasses.replace(world.source.runs_held["r1"], run_id="gone")
    world.source.runs_held["gone"] = gone
    world.source.points["gone"], world.source.files["gone"] = [], {}
    succeeded(world.migrate("run"))
    copied = {found.record.title: found.record for found in world.target.jobs.held.values()}
    assert copied["drift"].run_id in world.target.runs_held


def test_copies_that_the_state_knows_nothing_of_are_adopted(world: World) -> None:
    succeeded(world.migrate("run"))
    (world.folder / "state.db").unlink()
    world.target.jobs.writes.clear()
    half = next(iter(world.target.jobs.held))
    world.target.jobs.held[half] = world.target.jobs.held[half]._replace(mark="")
    succeeded(world.migrate("run"))
    assert world.target.jobs.writes == ["finish"]
    assert world.titles() == sorted(COPIED)


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_a_create_whose_answer_is_lost_makes_no_second_copy(world: World, lost: int) -> None:
    world.target.jobs.loses = lost
    succeeded(world.migrate("run"))
    assert world.titles() == sorted(COPIED)


def test_verify_names_what_is_missing_double_or_other(world: World) -> None:
    succeeded(world.migrate("run"))
    held = world.target.jobs.held
    by_origin = {found.record.tags[ORIGIN]: ident for ident, found in held.items()}
    first, second, third = (by_origin[f"i{number}"] for number in range(3))
    twin = dataclasses.replace(held[second].record, job_id="twin")
    other = dataclasses.replace(held[third].record, title="other")
    held["twin"] = held[second]._replace(record=twin)
    held[third] = held[third]._replace(record=other)
    del held[first]
    ended = world.migrate("verify", "--json")
    assert ended.code == 3
    found = {(it["what"], it["id"]) for it in json.loads(ended.output)["differences"]}
    assert found == {("missing", "i0"), ("copies", "i1"), ("title", "i2")}


def test_what_differs_is_repaired(world: World) -> None:
    succeeded(world.migrate("run"))
    held = world.target.jobs.held
    first, *_ = held
    held[first] = held[first]._replace(
        record=dataclasses.replace(held[first].record, title="other")
    )
    succeeded(world.migrate("run", "--repair"))
    assert world.titles() == sorted(COPIED)
    succeeded(world.migrate("verify"))


def test_what_the_target_does_not_take_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.target, "store", lambda kind: None)
    ended = world.migrate("run")
    check_ended(ended)
    assert "does not take jobs" in world.migrate("plan").output
    assert world.migrate("verify").code == 3


def killed_at(moment: str, after: int, work: Callable[[], object]) -> None:
    """Do work in a process that is gone the moment it has made so many calls of a store."""
    calls = {"create": 0, "finish": 0}
    real = {name: getattr(SimpleStore, name) for name in calls}

    def counted(name: str) -> Callable[..., Any]:
        def call(store: Any, *args: Any) -> Any:
            result = real[name](store, *args)
            calls[name] += 1
            if name == moment and calls[name] == after:
                os._exit(9)
            return result

        return call

    def child() -> None:
        for name in calls:
            setattr(SimpleStore, name, counted(name))
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 9


@pytest.mark.parametrize("moment", ["create", "finish"])
@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_killed_migration_is_resumed_and_each_is_there_once(
    world: World, moment: str, after: int
) -> None:
    target = str(world.folder / "export")
    killed_at(moment, after, lambda: world.migrate("run", target=target))
    succeeded(world.migrate("run", "--resume"))
    store = ExportDirectory(Path(target), writable=False).store(Kind.JOB)
    assert store is not None
    assert sorted(job.title for job in store.list(["1"])) == sorted(COPIED)
    assert all(same[0].mark for same in store.find("1").values())
    succeeded(world.migrate("verify", target=target))


def test_it_goes_through_a_directory(world: World) -> None:
    target = str(world.folder / "export")
    succeeded(world.migrate("run", target=target))
    ended = migrate("run", target, "http://target", "--state", str(world.folder / "other.db"))
    succeeded(ended)
    assert world.titles() == sorted(COPIED)


def test_refs_of_a_kind_have_its_word() -> None:
    assert str(Ref(Kind.JOB, "i1")) == "job:i1"


def test_a_damaged_file_of_an_export_costs_itself(world: World) -> None:
    export = world.folder / "export"
    succeeded(world.migrate("run", target=str(export)))
    [file, *_] = sorted((export / "jobs" / "1").iterdir())
    file.write_text("{")
    state = str(world.folder / "state2.db")
    ended = migrate("run", str(export), "http://target", "--state", state)
    check_ended(ended)
    assert ended.code == 3
    assert file.name in ended.output
    assert len(world.titles()) == len(COPIED) - 1


def test_a_file_that_is_damaged_after_the_plan_costs_itself(world: World) -> None:
    export = world.folder / "export"
    succeeded(world.migrate("run", target=str(export)))
    state = str(world.folder / "state2.db")
    succeeded(migrate("plan", str(export), "http://target", "--state", state))
    [file, *_] = sorted((export / "jobs" / "1").iterdir())
    file.write_text("{")
    ended = migrate("run", str(export), "http://target", "--state", state)
    check_ended(ended)
    assert ended.code == 3
    assert file.name in ended.output
    assert len(world.titles()) == len(COPIED) - 1
