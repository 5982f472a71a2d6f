"""Everything a source can hold goes to a server, and through a directory to another server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison import differences
from tests.conftest import ProxyFactory, RunMigrate
from tests.seed import (
    START,
    Seeded,
    Source,
    make_broken,
    make_undeliverable,
    put_behind_the_server,
    seed_everything,
    seed_parent_cycle,
)

Losses = set[tuple[str, str]]

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, kw_only=True)
class Everything:
    """A source with every case, and what of it cannot arrive on another server."""

    server: TrackingServerProcess
    seeded: Seeded
    #: Listed by the source, which does not deliver it.
    undeliverable: Losses
    #: Where two runs are each other's parent, one of them keeps the old id as a source tag.
    opened: Losses

    @property
    def kept(self) -> Losses:
        """References that stay as source tags: to runs that are gone, or in a circle."""
        orphan = self.seeded.runs["orphan"]
        tags = ("tag mlflow.parentRunId", "tag mlflow.rootRunId")
        return self.opened | {(orphan, tag) for tag in tags}

    @property
    def losses(self) -> Losses:
        return set(self.seeded.losses) | self.undeliverable


@pytest.fixture(scope="module")
def everything(
    fresh_source: TrackingServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Everything:
    server = fresh_source
    seeded = seed_everything(server.uri, history_points=0)
    artifacts = server.directory / "artifacts"
    with Source(server.uri) as source:
        seed_parent_cycle(source, source.experiment("circle"))
        circle = {source.seeded.runs["left"], source.seeded.runs["right"]}
        experiment = source.experiment("hard files")
        run = source.run("hard files", experiment)
        source.artifact(run, "good.txt", b"good")
        source.artifact(run, "gone.bin", b"x" * 1000)
        source.artifact(run, "broken.bin", b"y" * 1000)
        uri = f"mlflow-artifacts:/{experiment}/{run}/artifacts"
    put_behind_the_server(artifacts, uri, "a#b.txt", b"hash")
    put_behind_the_server(artifacts, uri, "pc%41.txt", b"percent")
    folder = artifacts / experiment / run / "artifacts"
    make_undeliverable(folder / "gone.bin", tmp_path_factory.mktemp("elsewhere") / "gone.bin")
    make_broken(folder / "broken.bin")
    names = ("gone.bin", "broken.bin", "a#b.txt", "pc%41.txt")
    return Everything(
        server=server,
        seeded=seeded,
        # Nor does the source's own proxy deliver the two odd names.
        undeliverable={(run, f"artifact {name}") for name in names},
        opened={(run_id, "tag mlflow.parentRunId") for run_id in circle},
    )


def report_of(run_migrate: RunMigrate, *args: str | Path) -> tuple[int, dict[str, Any]]:
    done = run_migrate(*args, "--json", timeout=300)
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def losses_of(report: dict[str, Any]) -> Losses:
    return {(loss["id"], loss["what"]) for loss in report["losses"]}


def verified(run_migrate: RunMigrate, source: str | Path, target: str | Path) -> Losses:
    """Verify, contents too; return the losses that were declared, after no other difference."""
    done = run_migrate(
        "verify", source, target, "--include-deleted", "--contents", "--json", timeout=300
    )
    found = json.loads(done.stdout)
    assert found["differences"] == []
    assert done.returncode == 0
    return {(loss["id"], loss["what"]) for loss in found["declared"]}


@pytest.mark.thorough
def test_all_but_the_named_losses_goes_through_a_directory(
    everything: Everything,
    fresh_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    # More points than a page holds. Only here, as every reader of them needs some seconds;
    # tests/endpoints has long histories of a server and of a directory.
    with Source(everything.server.uri) as server:
        points = ((100 / (1 + n), START + 10 * n, n) for n in range(26_000))
        history = everything.seeded.runs["long-history"]
        server.metrics(history, (("loss", *point) for point in points))
    source, directory = everything.server.uri, tmp_path / "export"
    code, report = report_of(run_migrate, "run", source, directory, "--include-deleted")
    assert report["failures"] == []
    assert losses_of(report) == everything.undeliverable
    assert code == 3

    # An import names all that the export recorded, beside what the server does not hold.
    code, report = report_of(run_migrate, "run", directory, fresh_target.uri, "--include-deleted")
    assert report["failures"] == []
    assert losses_of(report) == everything.losses
    assert code == 3

    there = differences(
        source, fresh_target.uri, expected_losses=everything.losses | everything.opened
    )
    assert there == []
    declared = verified(run_migrate, directory, fresh_target.uri)
    assert declared <= everything.losses | everything.kept


@pytest.mark.thorough
def test_all_but_the_named_losses_goes_from_server_to_server(
    everything: Everything,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
) -> None:
    source = proxy_factory(everything.server.uri)
    code, report = report_of(run_migrate, "run", source.uri, fresh_target.uri, "--include-deleted")
    assert report["failures"] == []
    assert losses_of(report) == everything.losses
    assert code == 3

    there = differences(
        everything.server.uri,
        fresh_target.uri,
        expected_losses=everything.losses | everything.opened,
    )
    assert there == []
    assert (
        verified(run_migrate, source.uri, fresh_target.uri) <= everything.losses | everything.kept
    )
    assert source.writes() == []


@pytest.mark.thorough
def test_deleted_objects_are_counted_and_left_out_unless_asked_for(
    everything: Everything, fresh_target: TrackingServerProcess, run_migrate: RunMigrate
) -> None:
    _, plan = report_of(run_migrate, "plan", everything.server.uri, fresh_target.uri)
    skipped = {task["id"] for task in plan["tasks"] if task["action"] == "skip"}
    runs = everything.seeded.runs
    assert {runs["deleted"], runs["deleted-with-it"], everything.seeded.experiments["deleted"]} <= (
        skipped
    )
    assert all("deleted" in task["reason"] for task in plan["tasks"] if task["id"] in skipped)
