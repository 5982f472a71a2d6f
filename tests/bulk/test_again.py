"""Commands that are called again: with nothing new, with something new, with a run that went on."""

from __future__ import annotations

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.alike import exact
from tests.bulk.arrived import Arrived
from tests.bulk.conftest import Bulk
from tests.bulk.worlds import IRIS, MINE
from tests.comparison import Server
from tests.conftest import ProxyFactory
from tests.proxy import Proxy
from tests.seed import START
from tests.seed_models import ModelSource


@pytest.fixture
def target(fresh_target: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(fresh_target.uri)


@pytest.mark.parametrize(
    "line",
    [
        "export-all --output-dir out --export-deleted-runs",
        pytest.param(
            "export-models --output-dir out --export-all-runs --use-threads",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "export-experiments --experiments all --output-dir out", marks=pytest.mark.thorough
        ),
    ],
)
def test_an_export_of_what_has_not_changed_changes_no_file(
    bulk: Bulk, world: ModelSource, line: str
) -> None:
    bulk(line, world.seeded.uri)
    before = exact(bulk.directory / "out")
    assert "Wrote nothing" in bulk(line, world.seeded.uri).stdout
    bulk(f"{line} --state another.db", world.seeded.uri)
    assert exact(bulk.directory / "out") == before


@pytest.mark.thorough
def test_an_import_of_what_is_there_writes_nothing(
    bulk: Bulk, world: ModelSource, target: Proxy
) -> None:
    bulk("export-all --output-dir out --export-deleted-runs", world.seeded.uri)
    bulk("import-all --input-dir out", target.uri)
    target.clear()
    assert "Wrote nothing" in bulk("import-all --input-dir out", target.uri).stdout
    for line in (
        "import-models --input-dir out --delete-model --state another.db",
        "import-experiments --input-dir out --use-threads",
    ):
        bulk(line, target.uri)
    assert not target.writes()
    arrived = Arrived(target.upstream.geturl())
    assert arrived.differences(world, deleted=True) == []


@pytest.mark.thorough
def test_a_run_that_goes_on_arrives_as_it_stands_and_later_as_it_ended(
    bulk: Bulk, world: ModelSource, target: Proxy
) -> None:
    experiment = world.experiment("going on")
    run_id = world.run("training", experiment, status=None)
    world.metrics(run_id, [("loss", 1.0, START, 0)])
    world.artifact(run_id, "checkpoint", b"one")
    line = "export-experiments --experiments 'going on' --output-dir out"
    uri = target.upstream.geturl()

    def brought() -> tuple[str, int, dict[str, int]]:
        bulk(line, world.seeded.uri)
        bulk("import-experiments --input-dir out", target.uri)
        run = Arrived(uri).run("training")
        copy_id = run["info"]["run_id"]
        with Server(uri) as server:
            points, files = server.history(copy_id, "loss"), server.files(copy_id)
        return run["info"]["status"], points.total(), files

    assert brought() == ("RUNNING", 1, {"checkpoint": 3})
    world.metrics(run_id, [("loss", 0.5, START + 1, 1)])
    world.artifact(run_id, "second", b"more")
    assert brought() == ("RUNNING", 2, {"checkpoint": 3, "second": 4})
    world.metrics(run_id, [("loss", 0.25, START + 2, 2)])
    world.artifact(run_id, "checkpoint", b"other")
    world.update(run_id, status="FINISHED", end=START + 3)
    assert brought() == ("FINISHED", 3, {"checkpoint": 5, "second": 4})
    target.clear()
    assert brought() == ("FINISHED", 3, {"checkpoint": 5, "second": 4})
    assert not target.writes()


def test_what_is_new_at_the_source_is_all_that_is_written(
    bulk: Bulk, world: ModelSource, target: Proxy
) -> None:
    export = "export-all --output-dir out"
    bulk(export, world.seeded.uri)
    bulk("import-all --input-dir out", target.uri)

    world.run("iris-3", world.seeded.experiments["iris"])
    world.run("late-1", world.experiment("late"))
    world.tags(world.seeded.runs["mine-1"], {"seen": "yes"})
    world.version("sklearn-iris", "s3://bucket/late")
    world.alias("sklearn-iris", "late", 2)
    bulk(export, world.seeded.uri)
    out = bulk.exported()
    assert out.runs[IRIS] == {"iris-1", "iris-2", "iris-3"}
    assert out.versions["sklearn-iris"] == [1, 2]

    target.clear()
    bulk("import-all --input-dir out", target.uri)
    creates = [row.path.rpartition("/mlflow/")[2] for row in target.matching(("POST", "create$"))]
    assert sorted(creates) == [
        "experiments/create",
        "model-versions/create",
        "runs/create",
        "runs/create",
    ]
    # A new run takes three writes, a changed one one, an alias one, to say who writes there two.
    assert len(target.writes()) <= 4 + 2 * 2 + 1 + 1 + 2
    arrived = Arrived(target.upstream.geturl())
    assert arrived.differences(world) == []
    assert {"iris-3"} <= arrived.runs[IRIS]
    assert arrived.runs[MINE] == {"mine-1"}
