"""Choices about copies, with servers of versions that people come from and go to."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.acceptance.environments import NEWEST, python_of
from tests.conftest import RunMigrate, ServerFactory
from tests.seed_models import ModelSource
from tests.source_tags import Held, expected_of, plus, seed_tagged

ASKED = ("--import-source-tags", "--use-src-user-id")


@pytest.mark.parametrize("version", ["1.30.1", "2.9.2", "2.22.5"])
def test_old_servers_tell_what_their_objects_were_and_give_the_files_of_versions(
    version: str, server_factory: ServerFactory, run_migrate: RunMigrate, tmp_path: Path
) -> None:
    source = server_factory(python=python_of(version))
    target = server_factory(python=python_of(NEWEST))
    name = f"tagged-{uuid.uuid4().hex[:8]}"
    seed_tagged(source.uri, name)

    done = run_migrate("run", source.uri, target.uri, "--models", name, *ASKED)
    assert done.returncode == 0, done.stdout + done.stderr
    original = Held.on(source.uri, name)
    wanted = plus(original.tags(), expected_of(original))
    wanted["run"]["mlflow.user"] = "ada"
    assert Held.on(target.uri, name).tags() == wanted

    export = tmp_path / "export"
    options = ("--models", name, "--export-version-model")
    done = run_migrate("run", source.uri, export, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = export / "models" / name / "version_models" / "1"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"weights": b"abc"}


def test_an_old_target_gets_what_it_can_hold_and_the_rest_is_told(
    target_of: Callable[[str], TrackingServerProcess],
    server_factory: ServerFactory,
    run_migrate: RunMigrate,
) -> None:
    source = server_factory(python=python_of(NEWEST))
    name = f"tagged-{uuid.uuid4().hex[:8]}"
    seed_tagged(source.uri, name)
    original = Held.on(source.uri, name)
    with ModelSource(source.uri) as server:
        server.tags(original.run["info"]["run_id"], {"mlflow.a:b": "x", "mlflow.note": "n" * 6000})
    original = Held.on(source.uri, name)
    with target_of("2.9.2") as target:
        done = run_migrate("run", source.uri, target.uri, "--models", name, *ASKED)
        assert done.returncode == 3, done.stdout + done.stderr
        for lost in ("mlflow.a:b", "mlflow_exim.mlflow_tag.a:b", "mlflow_exim.mlflow_tag.note"):
            assert f"tag {lost}" in done.stdout
        wanted = plus(original.tags(), expected_of(original))
        wanted["run"] |= dict.fromkeys(("mlflow.note", "mlflow_exim.mlflow_tag.note"), "n" * 5000)
        wanted["run"] |= {"mlflow.user": "ada"}
        del wanted["run"]["mlflow.a:b"]
        assert Held.on(target.uri, name).tags() == wanted
