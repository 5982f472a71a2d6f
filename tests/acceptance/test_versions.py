"""From every version to the newest, and from the newest to those still in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.commands import Losses, Migration, planned_losses, reported_losses
from tests.acceptance.environments import NEWEST, REQUIREMENTS
from tests.acceptance.sources import OldSources, contents, copy_of, versions_of
from tests.comparison import differences
from tests.conftest import RunMigrate
from tests.seed import Seeded

PAIRS = [
    *((version, NEWEST) for version in REQUIREMENTS if version != NEWEST),
    *((NEWEST, version) for version in ("2.9.2", "2.22.5", "3.8.1", NEWEST)),
]


def refused_by(version: str, seeded: Seeded) -> Losses:
    """What of a seed of the newest version a server of this version cannot hold."""
    if version != "2.9.2":
        return set()
    # No colon in any key, and no run tag beyond 5,000 characters.
    lost = {
        "odd-params": "param a:b",
        "odd-tags": "tag a:b",
        "strange-metrics": "metric a:b",
        "long-tags": "tag longest",
    }
    return {(seeded.runs[label], what) for label, what in lost.items()}


def kept_as_source_tags(seeded: Seeded) -> Losses:
    """References to a run that no server has, of which the copy keeps the source's id."""
    orphan = seeded.runs["orphan"]
    return {(orphan, "tag mlflow.parentRunId"), (orphan, "tag mlflow.rootRunId")}


@pytest.mark.parametrize(("source_version", "target_version"), PAIRS)
def test_all_but_the_declared_losses_arrives_once(
    source_version: str,
    target_version: str,
    old_source: OldSources,
    target_of: Callable[[str], TrackingServerProcess],
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    source = old_source(source_version)
    expected = source.seeded.losses | refused_by(target_version, source.seeded)
    if source.logged_model and int(target_version.partition(".")[0]) < 3:
        expected |= {(source.logged_model, "all but the files")}
    before = contents(source.server)
    with target_of(target_version) as target:
        migration = Migration(
            run_migrate=run_migrate,
            source=source.uri,
            target=target.uri,
            state=tmp_path / "state.db",
        )

        code, plan = migration.plan()
        assert code == 0
        assert planned_losses(plan) == expected
        takes_traces = tuple(map(int, target_version.split(".")[:2])) >= (3, 6)
        left = source.other_kinds - {"trace"} if takes_traces else source.other_kinds
        assert plan["unsupported"].keys() == left
        # A trace may have been asked about, and listing the questions would write.
        of_source = tuple(map(int, source_version.split(".")[:2]))
        asks, hides = of_source >= (3, 14), (3, 4) <= of_source < (3, 17)
        unknown = [text for text in plan["unknown"] if "label schemas" not in text]
        assert bool(plan["unknown"]) == (asks or hides)
        assert bool(unknown) == hides
        assert all("has scorers is not known" in text for text in unknown), "of those deleted"

        code, report = migration.run()
        assert report["failures"] == []
        assert reported_losses(report) == expected
        assert code == 3

        assert differences(source.uri, target.uri, expected_losses=expected) == []
        code, verified = migration.verify()
        assert verified["differences"] == []
        declared = {(loss["id"], loss["what"]) for loss in verified["declared"]}
        assert declared == expected | kept_as_source_tags(source.seeded)
        assert code == (3 if left or asks or hides else 0)

        run_id = source.seeded.runs["long-tags"]
        copy = copy_of(target.uri, run_id)
        versions = versions_of(source.uri)
        assert [version[0] for version in versions] == [1, 2, *range(4, 12)]
        assert versions_of(target.uri) == [
            (number, text, stage, f"runs:/{copy}/model", copy)
            for number, text, stage, _, _ in versions
        ]

        copied = contents(target)
        code, report = migration.run()
        assert code == 3
        assert contents(target) == copied
    assert contents(source.server) == before


def test_target_too_old_to_be_written_is_refused_by_name(
    old_source: OldSources,
    target_of: Callable[[str], TrackingServerProcess],
    run_migrate: RunMigrate,
) -> None:
    source = old_source(NEWEST)
    with target_of("1.30.1") as target:
        empty = contents(target)
        for command in ("plan", "run"):
            refused = run_migrate(command, source.uri, target.uri)

            assert refused.returncode == 2
            assert f"MLflow older than 2.3 at {target.uri} cannot be a target" in refused.stderr
            assert "MLflow 2.3 or newer" in refused.stderr
            assert "Traceback" not in refused.stderr
        assert contents(target) == empty
