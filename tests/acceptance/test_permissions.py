"""Permissions from and to servers of the time before roles, which tell users' grants otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.environments import NEWEST, python_of
from tests.conftest import RunMigrate, ServerFactory
from tests.guarded import Guarded, start_guarded

USERS = ("ada", "carol", "dora")


@pytest.fixture(scope="module")
def newest(server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    folder = tmp_path_factory.mktemp("newest")
    server = start_guarded(server_factory, directory=folder, python=python_of(NEWEST))
    guarded = Guarded(server)
    guarded.add_users(*USERS)
    return guarded


@contextmanager
def running(version: str, server_factory: ServerFactory, folder: Path) -> Iterator[Guarded]:
    """A server of an older version with ``ada``, ``bob`` and ``carol``."""
    server = start_guarded(server_factory, directory=folder, python=python_of(version))
    try:
        guarded = Guarded(server, roles=False)
        guarded.add_users("ada", "bob", "carol")
        yield guarded
    finally:
        server.stop()


def copy(
    run_migrate: RunMigrate, source: Guarded, target: Guarded, name: str, *options: str
) -> tuple[dict[str, Any], str]:
    """The report of a run, and what ``verify`` then says."""
    words = (source.as_admin, target.as_admin, "--experiments", f"{name}*")
    words += ("--models", f"{name}*", "--permissions", *options)
    done = run_migrate("run", *words, "--json")
    assert done.returncode in (0, 3), done.stderr
    return json.loads(done.stdout), run_migrate("verify", *words).stdout


@pytest.mark.parametrize("version", ["2.22.5", "3.8.1"])
def test_grants_of_named_users_become_those_of_a_server_with_roles(
    version: str,
    server_factory: ServerFactory,
    run_migrate: RunMigrate,
    newest: Guarded,
    unique_name: str,
    tmp_path: Path,
) -> None:
    with running(version, server_factory, tmp_path) as source:
        experiment = source.experiment(unique_name)
        model = source.model(f"{unique_name}-model")
        prompt = source.prompt(f"{unique_name}-prompt")
        source.grant("ada", experiment, "EDIT")
        source.grant("bob", experiment, "READ")
        source.grant("carol", experiment, "NO_PERMISSIONS")
        source.grant("carol", model, "MANAGE")
        source.grant("ada", prompt, "READ")
        report, _ = copy(run_migrate, source, newest, unique_name)
        warnings = {it["warning"] for it in report["warnings"]}
        assert any("cannot list its users: name them with" in it for it in warnings)

        named = ("--permission-users", "ada", "--permission-users", "bob,carol,nobody")
        report, verified = copy(run_migrate, source, newest, unique_name, *named)
        assert [loss["what"] for loss in report["losses"]] == ["READ of user bob"]
        (warning,) = {it["warning"] for it in report["warnings"]}
        assert warning == "user nobody of --permission-users does not exist on the source"
        assert verified.count("is not on the target") == 1

        copied = newest.experiment_named(unique_name)
        assert newest.grants(copied, *USERS) == {"ada": "EDIT", "carol": "DENY"}
        assert newest.grants(model, *USERS) == {"carol": "MANAGE"}
        assert newest.grants(("prompt", prompt[1]), *USERS) == {"ada": "READ"}
        assert newest.may_tag("ada", copied)
        assert not newest.may_read("carol", copied)
        assert newest.may_read("ada", prompt)

        report, _ = copy(run_migrate, source, newest, unique_name, *named)
        assert sum(totals["wrote"] for totals in report["totals"].values()) == 0


def test_grants_of_a_server_with_roles_become_those_of_one_without(
    server_factory: ServerFactory,
    run_migrate: RunMigrate,
    newest: Guarded,
    unique_name: str,
    tmp_path: Path,
) -> None:
    with running("3.8.1", server_factory, tmp_path) as target:
        experiment = newest.experiment(unique_name)
        model = newest.model(f"{unique_name}-model")
        prompt = newest.prompt(f"{unique_name}-prompt")
        newest.grant("ada", experiment, "EDIT")
        newest.grant("carol", experiment, "DENY")
        newest.grant("dora", experiment, "READ")
        newest.grant("ada", model, "USE")
        newest.grant("ada", prompt, "READ")
        report, verified = copy(run_migrate, newest, target, unique_name)
        losses = sorted((loss["what"], loss["reason"]) for loss in report["losses"])
        assert losses[0] == (
            "READ of user dora",
            "not granted: user dora does not exist on the target",
        )
        assert losses[1][0] == "USE of user ada"
        assert "Invalid permission 'USE'" in losses[1][1]
        assert len(losses) == verified.count("is not on the target") == 2

        copied = target.experiment_named(unique_name)
        held = {"ada": "EDIT", "carol": "NO_PERMISSIONS"}
        assert target.grants(copied, "ada", "bob", "carol") == held
        assert target.grants(("registered_model", prompt[1]), "ada") == {"ada": "READ"}
        assert target.may_tag("ada", copied)
        assert not target.may_read("carol", copied)
        assert not target.may_read("bob", copied)

        target.grant("ada", copied, "READ", again=True)
        report, _ = copy(run_migrate, newest, target, unique_name)
        assert sum(totals["wrote"] for totals in report["totals"].values()) == 1
        assert target.grants(copied, "ada") == {"ada": "EDIT"}
