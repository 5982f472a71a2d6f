"""The commands on a small migration: what they print, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate, Seeded
from tests.conftest import ProxyFactory, StartMigrate
from tests.faults import Faults, always, hang
from tests.seed import Source


@pytest.fixture
def ends(
    source_server: TrackingServerProcess, target_server: TrackingServerProcess
) -> tuple[str, str]:
    return source_server.uri, target_server.uri


def test_plan_run_status_map_and_verify(
    migrate: Migrate, ends: tuple[str, str], seeded: Seeded
) -> None:
    selected = ("--experiments", seeded.name)
    shown = migrate("plan", *ends, *selected).stdout
    assert shown.splitlines()[-1].startswith("Plan: 1 experiment, 2 runs to create; ")

    report = migrate("run", *ends).stdout
    assert report.splitlines()[-1] == "Done: 1 experiment, 2 runs on the target, nothing lost."
    status = migrate("status").stdout
    assert f"{ends[0]} to {ends[1]}" in status
    assert "nothing lost" in status

    (line,) = migrate("map", seeded.child).stdout.splitlines()
    copy = line.split()[3]
    assert line == f"run {seeded.child} -> {copy}  child"
    assert migrate("map", copy).stdout.splitlines() == [line]
    assert len(migrate("map").stdout.splitlines()) == 3

    rows = list(csv.DictReader(io.StringIO(migrate("map", "--csv").stdout)))
    assert {row["source_id"] for row in rows} == {seeded.experiment, seeded.parent, seeded.child}
    assert all((row["source_uri"], row["target_uri"]) == ends for row in rows)
    mapped = json.loads(migrate("map", seeded.parent, seeded.child, "--json").stdout)
    assert [row["target_id"] for row in mapped if row["source_id"] == seeded.child] == [copy]
    migrate.fails("map", "f" * 32, code=1, says=f"not in this state database: {'f' * 32}")

    migrate("verify")
    verified = json.loads(migrate("verify", *ends, *selected, "--contents", "--json").stdout)
    assert verified["differences"] == []

    again = migrate("run", *ends, *selected).stdout
    assert "Wrote nothing, sent 0 B of artifacts" in again


def test_json_is_all_there_is_on_stdout_and_lines_of_it_on_stderr(
    migrate: Migrate, ends: tuple[str, str], seeded: Seeded
) -> None:
    planned = json.loads(migrate("plan", *ends, "--experiments", seeded.name, "--json").stdout)
    mine = [task for task in planned["tasks"] if task["action"] == "create"]
    assert {task["id"] for task in mine} == {seeded.experiment, seeded.parent, seeded.child}
    assert (planned["source"]["uri"], planned["target"]["uri"]) == ends

    result = migrate("run", *ends, "--json")
    report = json.loads(result.stdout)
    assert report["complete"] is True
    assert report["totals"]["run"]["done"] == 2
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "stopped"
    ended = {event["id"] for event in events if event["event"] == "task"}
    assert ended == {seeded.experiment, seeded.parent, seeded.child}

    (stood,) = json.loads(migrate("status", "--json").stdout)
    assert stood["migration_id"] == report["migration_id"]
    assert stood["complete"] is True


def test_a_plan_is_drawn_and_explained(
    migrate: Migrate, ends: tuple[str, str], seeded: Seeded, tmp_path: Path
) -> None:
    selected = ("--experiments", seeded.name)
    assert "Plan: " in migrate("plan", *ends, *selected, "--graph", "plan.json").stdout
    graph = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    edge = {"from": f"run:{seeded.parent}", "to": f"run:{seeded.child}", "type": "needs"}
    assert edge in graph["edges"]

    told = migrate("plan", *ends, *selected, "--why", seeded.child, "--graph", "plan.svg").stdout
    assert told.startswith(f'run "child" ({seeded.child})\n  create (pending)')
    assert f"Why it is in the plan:\n  a run of experiment:{seeded.experiment}\n" in told
    assert (tmp_path / "plan.svg").read_text(encoding="utf-8").endswith("</svg>\n")

    why = ("--why", f"experiment:{seeded.experiment}", "--json")
    told = json.loads(migrate("plan", *ends, *selected, *why).stdout)
    assert set(told["needed_by"]) == {f"run:{seeded.parent}", f"run:{seeded.child}"}
    assert told["because"] == ["selected by --experiments"]
    migrate.fails("plan", *ends, *selected, "--why", "chidl", code=2, says="'chidl' is not in")


def test_quiet_is_quiet_and_debug_is_not(
    migrate: Migrate, ends: tuple[str, str], seeded: Seeded
) -> None:
    assert migrate("run", *ends, "--experiments", seeded.name, "--quiet").stderr == ""
    assert "Traceback" in migrate("run", *ends, "--experiments", "?", "--debug", code=2).stderr


def test_differences_and_what_is_not_copied_end_in_3(
    migrate: Migrate, ends: tuple[str, str], seeded: Seeded
) -> None:
    selected = ("--experiments", seeded.name)
    with Source(ends[0]) as source:
        source.trace(seeded.experiment)
    report = migrate("run", *ends, *selected, code=3).stdout
    # Label schemas may be asked of traces, and cannot be listed without writing.
    assert "have label schemas that no review queue names is not known" in report

    with Source(ends[0]) as source:
        source.tags(seeded.parent, {"new": "x"})
    assert seeded.parent in migrate("verify", *ends, *selected, code=3).stdout


def test_status_and_map_work_while_a_run_is_under_way(
    migrate: Migrate,
    start_migrate: StartMigrate,
    ends: tuple[str, str],
    seeded: Seeded,
    proxy_factory: ProxyFactory,
) -> None:
    proxy = proxy_factory(ends[1], faults=Faults(always(("POST", "/runs/create$"), hang())))
    running = start_migrate(
        "run", ends[0], proxy.uri, "--experiments", seeded.name, env={"HOME": str(migrate.home)}
    )
    deadline = time.monotonic() + 60
    while not proxy.matching(("POST", "/runs/create$")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (row,) = migrate("map").stdout.splitlines()
    assert row.startswith(f"experiment {seeded.experiment} -> ")
    (stood,) = json.loads(migrate("status", "--json").stdout)
    assert (stood["status"], stood["complete"]) == ("unfinished", False)
    assert stood["totals"]["run"]["pending"] == 2

    migrate.fails(
        "run",
        *ends,
        code=4,
        says=f"is in use by process {running.pid} on ",
        hints="name another --state",
    )
    running.signal_group()
    running.wait()
    # The one that was killed holds nothing any more.
    proxy.faults = Faults()
    report = migrate("run", "--resume").stdout
    assert report.splitlines()[-1] == "Done: 1 experiment, 2 runs on the target, nothing lost."
