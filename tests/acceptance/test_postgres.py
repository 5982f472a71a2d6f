"""A target on Postgres, which enforces the lengths that SQLite lets pass."""

from __future__ import annotations

from pathlib import Path

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.commands import Migration, reported_losses
from tests.acceptance.environments import NEWEST
from tests.acceptance.sources import OldSources
from tests.comparison import Server, differences
from tests.conftest import RunMigrate


def test_all_but_the_declared_losses_arrives_once(
    old_source: OldSources,
    postgres_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    source, target = old_source(NEWEST), postgres_target
    migration = Migration(
        run_migrate=run_migrate,
        source=source.uri,
        target=target.uri,
        state=tmp_path / "state.db",
    )
    expected = source.seeded.losses

    code, report = migration.run()
    assert report["failures"] == []
    assert reported_losses(report) == expected
    assert code == 3

    assert differences(source.uri, target.uri, expected_losses=expected) == []
    code, verified = migration.verify()
    assert verified["differences"] == []
    # Listing label schemas for the first time writes some, so they were not asked for.
    assert [text for text in verified["unknown"] if "label schemas" not in text] == []
    assert (bool(verified["unknown"]), code) == (True, 3)

    copied = ids_of_runs(target.uri)
    _, report = migration.run()
    assert sum(totals["wrote"] for totals in report["totals"].values()) == 0
    assert ids_of_runs(target.uri) == copied


def ids_of_runs(uri: str) -> set[str]:
    """The ids of all runs of a server."""
    with Server(uri) as server:
        return {
            run["info"]["run_id"]
            for experiment in server.experiments().values()
            for run in server.runs(experiment["experiment_id"])
        }
