"""Every model, version and prompt goes to a server, and through a directory to another server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison import ORIGIN, copies_of_runs, differences
from tests.comparison_models import compare_models
from tests.conftest import OfAllModels, ProxyFactory, RunMigrate
from tests.mlflow_client import predictions, with_client
from tests.seed import Source
from tests.seed_models import ModelSource, SeededModels, seed_lost_references

Declared = set[tuple[str, str]]

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class EveryModel:
    """A source with every case, and what of it may be lost on a server."""

    server: TrackingServerProcess
    seeded: SeededModels

    @property
    def hard(self) -> str:
        """The version whose logged model is deleted: no server makes one of a deleted model."""
        name, number = self.seeded.versions["deleted model"]
        return f"{name}/{number}"


@pytest.fixture(scope="module")
def every_model(of_all_models: OfAllModels) -> EveryModel:
    return EveryModel(*of_all_models)


@pytest.fixture
def target(fresh_target: TrackingServerProcess) -> TrackingServerProcess:
    """An empty server whose next experiment has another id than that of the source."""
    with Source(fresh_target.uri) as writer:
        for number in range(3):
            writer.experiment(f"in the way {number}")
    return fresh_target


def report_of(run_migrate: RunMigrate, *args: str | Path) -> dict[str, Any]:
    """Run ``migrate`` to an end that is complete but for named losses; return its report."""
    done = run_migrate(*args, "--json", timeout=300)
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["failures"] == []
    assert done.returncode == (3 if report["losses"] else 0)
    return report


def declared_by(every_model: EveryModel, *reports: Mapping[str, Any]) -> Declared:
    """What the reports say is lost, which may be of one version only."""
    lost = {loss["id"] for report in reports for loss in report["losses"]}
    assert lost <= {every_model.hard}
    gone = {(ident, what) for ident in lost for what in ("copy", "source", "run_id")}
    # What a model file says of another run than its own stays, with a warning.
    nested = every_model.seeded.runs["nested models"]
    return gone | {(nested, "artifact of-another-run/MLmodel")}


def assert_right(every_model: EveryModel, target: str, declared: Declared) -> dict[str, str]:
    """Compare everything; return id at the source -> id of the copy, logged models included."""
    source = every_model.server.uri
    copies = copies_of_runs(source, target)
    assert compare_models(source, target, copies, declared=declared) == []
    assert differences(source, target, expected_losses=every_model.seeded.rewritten) == []
    seeded = every_model.seeded
    with ModelSource(target) as reader:
        experiments = [*(e["experiment_id"] for e in _experiments(reader))]
        found = reader.post("logged-models/search", {"experiment_ids": experiments})["models"]
    for model in found:
        tags = {tag["key"]: tag["value"] for tag in model["info"].get("tags", [])}
        copies[tags[ORIGIN]] = model["info"]["model_id"]
    assert seeded.models["checkpoint-5"] in copies
    return copies


def _experiments(reader: Source) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = reader.post("experiments/search", {"max_results": 1000})[
        "experiments"
    ]
    return found


def assert_predicts(every_model: EveryModel, target: str, copies: Mapping[str, str]) -> None:
    """Every model that loads at the source loads on the target and predicts the same."""
    seeded = every_model.seeded
    expected: dict[str, list[float]] = {}
    for uri, factor in seeded.factors.items():
        name = uri.removeprefix("models:/")
        expected[f"models:/{copies.get(name, name)}"] = [factor, 2 * factor, 3 * factor]
    assert len(expected) == len(seeded.factors)
    assert not expected.keys() >= seeded.factors.keys()
    assert predictions(target, [*expected]) == expected


def assert_prompts_load(every_model: EveryModel, target: str) -> None:
    seeded = every_model.seeded
    text, chat = seeded.prompts["text"], seeded.prompts["chat"]
    uris = [f"prompts:/{text}/{number}" for number in (1, 4, 5)]
    uris += [f"prompts:/{text}@production", f"prompts:/{chat}/1"]
    argument = {"uris": uris, "experiment": seeded.names["models elsewhere"]}
    loaded = with_client(target, "load-prompts", argument)
    assert loaded == with_client(seeded.uri, "load-prompts", argument)


def assert_verified(run_migrate: RunMigrate, source: str | Path, target: str | Path) -> None:
    done = run_migrate(
        "verify", source, target, "--include-deleted", "--contents", "--json", timeout=300
    )
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["differences"] == []
    assert done.returncode == 0


@pytest.mark.thorough
def test_every_model_goes_from_server_to_server(
    every_model: EveryModel,
    target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    source, proxied = proxy_factory(every_model.server.uri), proxy_factory(target.uri)
    ends = (source.uri, proxied.uri)
    args = ("run", *ends, "--include-deleted", "--state", tmp_path / "state.db")
    declared = declared_by(every_model, report_of(run_migrate, *args))
    copies = assert_right(every_model, target.uri, declared)
    mapped = json.loads(
        run_migrate("map", "--state", tmp_path / "state.db", "--json", timeout=120).stdout
    )
    ids = {row["source_id"]: row["target_id"] for row in mapped if row["kind"] == "logged model"}
    assert ids.items() >= {k: v for k, v in copies.items() if k.startswith("m-")}.items()
    assert ids.keys() == set(every_model.seeded.models.values())

    assert_verified(run_migrate, *ends)
    assert_predicts(every_model, target.uri, copies)
    proxied.clear()
    declared_by(every_model, report_of(run_migrate, *args))
    assert proxied.writes() == []
    assert source.writes() == []
    assert_prompts_load(every_model, target.uri)


@pytest.mark.thorough
def test_every_model_goes_through_a_directory(
    every_model: EveryModel,
    target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    source, directory = every_model.server.uri, tmp_path / "export"
    out = report_of(
        run_migrate, "run", source, directory, "--include-deleted", "--state", tmp_path / "out.db"
    )
    assert out["losses"] == []
    assert_verified(run_migrate, source, directory)
    into = report_of(
        run_migrate, "run", directory, target.uri, "--include-deleted",
        "--state", tmp_path / "in.db",
    )  # fmt: skip
    copies = assert_right(every_model, target.uri, declared_by(every_model, into))
    assert_verified(run_migrate, directory, target.uri)
    assert_predicts(every_model, target.uri, copies)


@pytest.mark.thorough
def test_sources_that_are_gone_are_told(
    fresh_source: TrackingServerProcess,
    target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    """No server takes a version of a version that is not there: but the numbers are kept."""
    server = fresh_source
    with ModelSource(server.uri) as source:
        seed_lost_references(source)
        versions = source.seeded.versions
    done = run_migrate(
        "run", server.uri, target.uri, "--json", "--state", tmp_path / "state.db", timeout=300
    )
    assert "Traceback" not in done.stderr
    idents = {f"{name}/{number}" for name, number in versions.values()}
    declared = {(ident, what) for ident in idents for what in ("copy", "source")}
    assert compare_models(server.uri, target.uri, {}, declared=declared) == []
    report = json.loads(done.stdout)
    told = json.dumps([report[part] for part in ("failures", "losses", "warnings")])
    for name, number in versions.values():
        lost = compare_models(
            server.uri, target.uri, {}, declared={d for d in declared if d[0] != f"{name}/{number}"}
        )
        assert not lost or f"{name}/{number}" in told, lost
