"""A file store is copied without a server: into a directory, and to one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.cli.conftest import Migrate
from tests.conftest import ServerFactory
from tests.endpoints.filestores import listing, manifest, unpacked


@pytest.mark.parametrize("named", ["path", "uri"])
def test_a_file_store_is_copied_into_a_directory(
    migrate: Migrate, tmp_path: Path, named: str
) -> None:
    root = unpacked("3.8.1", tmp_path)
    before = listing(root)
    ends = (root.as_uri() if named == "uri" else root, tmp_path / "export")
    planned = migrate("plan", *ends, "--include-deleted")
    assert "7 runs" in planned.stdout + planned.stderr
    told = migrate("run", *ends, code=3)
    assert "2 traces" in told.stdout + told.stderr, "what is not read is told"
    found = {path.name for path in (tmp_path / "export").rglob("*") if path.is_file()}
    assert {"a.txt", "b b.txt", "100%.txt", "MLmodel", "m.py"} <= found
    migrate("verify", *ends, "--include-deleted", "--contents", code=3)
    assert listing(root) == before


def test_a_file_store_is_copied_to_a_server(
    migrate: Migrate, tmp_path: Path, server_factory: ServerFactory
) -> None:
    root = unpacked("3.8.1", tmp_path)
    before = listing(root)
    target = server_factory()
    ends = (root, target.uri)
    migrate("run", *ends, code=3)
    migrate("verify", *ends, code=3)
    again = migrate("run", *ends, "--json", code=3)
    assert '"create"' not in again.stdout
    assert listing(root) == before
    _compare(MlflowClient(target.uri), manifest("3.8.1"))


def _compare(client: MlflowClient, noted: dict[str, Any]) -> None:
    names = {it.name for it in client.search_registered_models()}
    assert names == {*noted["models"]}
    versions = client.search_model_versions("name = 'modelA'")
    assert {str(it.version) for it in versions} == {*noted["models"]["modelA"]["versions"]}
    alpha = client.get_experiment_by_name("alpha")
    [run] = client.search_runs([alpha.experiment_id], "run_name = 'full'")
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 6
    assert {it.path for it in client.list_artifacts(run.info.run_id)} == {
        "a.txt",
        "model",
        "sub",
    }
    models = client.search_logged_models([alpha.experiment_id])
    assert {it.name for it in models} == {"lmA", "codemodel"}
