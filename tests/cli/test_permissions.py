"""Who may do what arrives as well: between two servers with MLflow's basic-auth app."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate, everything_in
from tests.conftest import ProxyFactory, ServerFactory, StartMigrate
from tests.faults import Fault, Faults, drop_request, lose_response, on_nth
from tests.guarded import ADMIN_PASSWORD, Guarded, password_of, start_both, start_guarded
from tests.processes import MigrateProcess
from tests.proxy import Proxy
from tests.seed import Source
from tests.servers import IS_3_18

GRANT = ("POST", "/users/permissions/grant$")
LIST_USERS = ("GET", "/users/list$")
USERS = {"source": ("ada", "bob", "carol"), "target": ("ada", "carol", "dora")}


@pytest.fixture(scope="module")
def ends(
    server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Guarded, Guarded]:
    folder = tmp_path_factory.mktemp("guarded")

    def start(side: str) -> TrackingServerProcess:
        return start_guarded(server_factory, directory=folder / side)

    source, target = map(Guarded, start_both(start, *USERS))
    for end, names in zip((source, target), USERS.values(), strict=True):
        end.add_users(*names)
    return source, target


@dataclass(frozen=True)
class Copying:
    """Copies the things of one test, whose names begin with ``name``, with their permissions."""

    source: Guarded
    target: Guarded
    name: str
    migrate: Migrate
    #: Where both are reached.
    uris: tuple[str, str]
    #: The options that select by name.
    by: tuple[str, ...] = ("--experiments",)

    @property
    def selected(self) -> tuple[str, ...]:
        return tuple(word for option in self.by for word in (option, f"{self.name}*"))

    @property
    def with_models(self) -> Copying:
        return dataclasses.replace(self, by=("--experiments", "--models"))

    def words(self, command: str, *options: str) -> tuple[str, ...]:
        return command, *self.uris, *self.selected, "--permissions", *options

    def run(self, *options: str, code: int = 0) -> dict[str, Any]:
        """The report of a run."""
        words = self.words("run", *options, "--json")
        report: dict[str, Any] = json.loads(self.migrate(*words, code=code).stdout)
        return report

    def plan(self, *options: str) -> str:
        return self.migrate(*self.words("plan", *options)).stdout

    def verify(self, *, code: int = 0) -> str:
        return self.migrate(*self.words("verify"), code=code).stdout

    def behind(self, *proxies: Proxy) -> Copying:
        """The same by way of a proxy in front of each server."""
        guarded = zip((self.source, self.target), proxies, strict=True)
        source, target = (end.uri_as("admin", at=proxy.uri) for end, proxy in guarded)
        return dataclasses.replace(self, uris=(source, target))


@pytest.fixture
def copying(ends: tuple[Guarded, Guarded], migrate: Migrate, unique_name: str) -> Copying:
    source, target = ends
    uris = (source.as_admin, target.as_admin)
    return Copying(source, target, unique_name, migrate, uris)


@pytest.fixture
def proxies(copying: Copying, proxy_factory: ProxyFactory) -> tuple[Proxy, Proxy]:
    source, target = copying.source.server.uri, copying.target.server.uri
    return proxy_factory(source), proxy_factory(target)


def wrote(report: dict[str, Any]) -> int:
    return sum(totals["wrote"] for totals in report["totals"].values())


def losses(report: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((loss["what"], loss["reason"]) for loss in report["losses"])


class TestArrives:
    def test_users_may_do_on_the_copies_what_they_may_at_the_source(self, copying: Copying) -> None:
        copying = copying.with_models
        source, target, name = copying.source, copying.target, copying.name
        experiment = source.experiment(name)
        model, prompt = source.model(f"{name}-model"), source.prompt(f"{name}-prompt")
        source.grant("ada", experiment, "EDIT")
        source.grant("carol", experiment, "READ")
        source.grant("ada", model, "MANAGE")
        source.grant("carol", model, "DENY")
        source.grant("carol", prompt, "USE")

        assert copying.run()["complete"]
        copy = target.experiment_named(name)
        assert target.grants(copy, *USERS["target"]) == {"ada": "EDIT", "carol": "READ"}
        assert target.grants(model, *USERS["target"]) == {"ada": "MANAGE", "carol": "DENY"}
        assert target.grants(prompt, *USERS["target"]) == {"carol": "USE"}

        copying.verify()

        assert target.may_read("ada", copy)
        assert target.may_tag("ada", copy)
        assert target.may_read("carol", copy)
        assert not target.may_tag("carol", copy)
        assert not target.may_read("dora", copy)
        assert target.may_read("ada", model)
        assert not target.may_read("carol", model)
        assert target.may_read("carol", prompt)
        assert not target.may_read("ada", prompt)

    @pytest.mark.thorough
    def test_run_again_only_what_is_new_is_granted_and_users_are_read_once(
        self, copying: Copying, proxies: tuple[Proxy, Proxy]
    ) -> None:
        source, target = copying.source, copying.target
        experiment = source.experiment(copying.name)
        source.grant("ada", experiment, "EDIT")
        assert wrote(copying.run()) == 1
        assert wrote(copying.behind(*proxies).run()) == 0
        assert [proxy.writes() for proxy in proxies] == [[], []]

        source.grant("carol", experiment, "READ")
        source.grant("carol", source.model(f"{copying.name}-model"), "READ")
        copying = copying.with_models
        assert "carol" in copying.verify(code=3)
        assert wrote(copying.behind(*proxies).run()) == 2
        assert len(proxies[1].matching(GRANT)) == 2
        assert [len(proxy.matching(LIST_USERS)) for proxy in proxies] == [2, 2]
        assert target.grants(target.experiment_named(copying.name), *USERS["target"]) == {
            "ada": "EDIT",
            "carol": "READ",
        }
        copying.verify()

    def test_nothing_is_granted_unless_that_was_chosen(self, copying: Copying) -> None:
        copying = copying.with_models
        source, target, name = copying.source, copying.target, copying.name
        model = source.model(f"{name}-model")
        source.grant("ada", source.experiment(name), "EDIT")
        source.grant("carol", model, "READ")
        copying.migrate("run", *copying.uris, *copying.selected)
        copy = target.experiment_named(name)
        assert target.grants(copy, *USERS["target"]) == {}
        assert target.grants(model, *USERS["target"]) == {}
        copying.migrate("verify", *copying.uris, *copying.selected)
        told = copying.verify(code=3)
        assert "EDIT of user ada" in told
        assert "READ of user carol" in told
        copying.run()
        assert target.grants(copy, *USERS["target"]) == {"ada": "EDIT"}
        assert target.grants(model, *USERS["target"]) == {"carol": "READ"}

    def test_deleted_and_made_anew_a_model_gets_its_permissions_again(
        self, copying: Copying
    ) -> None:
        copying = dataclasses.replace(copying, by=("--models",))
        source, target = copying.source, copying.target
        # When the second one is deleted, what is granted on it has been read for the first.
        first, second = (source.model(f"{copying.name}-{number}") for number in (1, 2))
        for model in (first, second):
            source.grant("ada", model, "EDIT")
        target.grant("ada", target.model(second[1]), "EDIT")
        target.grant("dora", second, "READ")
        copying.run("--delete-model", "--workers", "1")
        assert target.grants(first, *USERS["target"]) == {"ada": "EDIT"}
        assert target.grants(second, *USERS["target"]) == {"ada": "EDIT"}

    @pytest.mark.thorough
    def test_by_way_of_a_directory_they_arrive_as_well(
        self, copying: Copying, tmp_path: Path
    ) -> None:
        copying = copying.with_models
        source, target, name = copying.source, copying.target, copying.name
        experiment = source.experiment(name)
        model, prompt = source.model(f"{name}-model"), source.prompt(f"{name}-prompt")
        source.grant("ada", experiment, "EDIT")
        source.grant("bob", model, "READ")
        source.grant("carol", prompt, "MANAGE")
        out = dataclasses.replace(copying, uris=(copying.uris[0], str(tmp_path / "export")))
        assert wrote(out.run()) == 3
        assert wrote(out.run()) == 0
        out.verify()
        back = dataclasses.replace(copying, uris=(str(tmp_path / "export"), copying.uris[1]))
        assert [what for what, _ in losses(back.run(code=3))] == ["READ of user bob"]
        copy = target.experiment_named(name)
        assert target.grants(copy, *USERS["target"]) == {"ada": "EDIT"}
        assert target.grants(prompt, *USERS["target"]) == {"carol": "MANAGE"}
        assert wrote(back.run(code=3)) == 0
        assert "READ of user bob - is not on the target" in back.verify(code=3)

    @pytest.mark.thorough
    def test_the_commands_that_export_and_import_carry_them_on_demand(
        self, copying: Copying, tmp_path: Path
    ) -> None:
        source, target, name = copying.source, copying.target, copying.name
        experiment = source.experiment(name)
        source.grant("ada", experiment, "EDIT")
        source.grant("carol", experiment, "READ")
        out = str(tmp_path / "export")
        export = ("export-experiments", "--experiments", name, "--output-dir", out)
        export += ("--source", copying.uris[0])
        back = ("import-experiments", "--input-dir", out, "--target", copying.uris[1])
        copying.migrate(*export, "--export-permissions", "False")
        assert not any(grants_in(path.read_text()) for path in Path(out).rglob("*.json"))
        copying.migrate(*export, "--export-permissions", "True")
        copying.migrate(*back)
        copy = target.experiment_named(name)
        assert target.grants(copy, *USERS["target"]) == {}
        copying.migrate(*back, "--import-permissions", "True")
        assert target.grants(copy, *USERS["target"]) == {"ada": "EDIT", "carol": "READ"}
        # Only whose permissions are asked for, where that is said.
        only = copying.migrate(*export, "--export-permissions", "--permission-users", "ada,zoe")
        assert "user zoe of --permission-users does not exist on the source" in only.stdout
        [kept] = filter(None, (grants_in(it.read_text()) for it in Path(out).rglob("*.json")))
        assert [it["username"] for it in kept] == ["ada"]

    def test_an_export_without_permissions_is_told_to_have_none(
        self, copying: Copying, tmp_path: Path
    ) -> None:
        export = str(tmp_path / "export")
        copying.source.experiment(copying.name)
        copying.migrate("run", copying.uris[0], export, *copying.selected)
        out = dataclasses.replace(copying, uris=(copying.uris[0], export))
        assert "MANAGE of user admin - is not on the target" in out.verify(code=3)
        back = dataclasses.replace(copying, uris=(export, copying.uris[1]))
        assert "the export holds no permissions on it" in back.plan()

    def test_those_on_models_are_of_the_server_that_has_the_models(
        self, copying: Copying, tmp_path: Path
    ) -> None:
        copying = copying.with_models
        source, registry, name = copying.source, copying.target, copying.name
        experiment, model = source.experiment(name), registry.model(f"{name}-model")
        source.grant("ada", experiment, "EDIT")
        registry.grant("dora", model, "READ")
        export = tmp_path / "export"
        out = dataclasses.replace(copying, uris=(source.as_admin, str(export)))
        out.run("--source-registry-uri", registry.as_admin)
        kept = {
            path.name: {it["username"] for it in grants}
            for path in export.rglob("*.json")
            if (grants := grants_in(path.read_text()))
        }
        assert kept == {"experiment.json": {"ada", "admin"}, "model.json": {"dora", "admin"}}

    def test_no_password_is_kept_or_told(self, copying: Copying, tmp_path: Path) -> None:
        copying.source.grant("bob", copying.source.experiment(copying.name), "EDIT")
        shown = copying.migrate(*copying.words("run", "--debug"), code=3)
        everything = f"{shown.stdout}{shown.stderr}{everything_in(tmp_path).decode('latin-1')}"
        for password in (ADMIN_PASSWORD, *map(password_of, ("ada", "bob"))):
            assert password not in everything
            assert quote(password, safe="") not in everything


class TestDoesNotArrive:
    def test_users_that_the_target_has_not_are_told_by_name_and_not_made(
        self, copying: Copying
    ) -> None:
        source, target = copying.source, copying.target
        experiment = source.experiment(copying.name)
        source.grant("ada", experiment, "READ")
        source.grant("bob", experiment, "EDIT")
        report = copying.run(code=3)
        assert losses(report) == [
            ("EDIT of user bob", "not granted: user bob does not exist on the target")
        ]
        copy = target.experiment_named(copying.name)
        assert target.grants(copy, "ada", "bob") == {"ada": "READ"}
        assert target.ask("GET", "users/get", {"username": "bob"}).status_code == 404
        assert "EDIT of user bob - is not on the target" in copying.verify(code=3)

        again = copying.run(code=3)
        assert wrote(again) == 0
        assert losses(again) == losses(report)

    @pytest.mark.thorough
    def test_a_copy_follows_its_original_and_what_was_there_before_keeps_its_own(
        self, copying: Copying
    ) -> None:
        copying = copying.with_models
        source, target, name = copying.source, copying.target, copying.name
        experiment, model = source.experiment(name), source.model(f"{name}-model")
        before = target.model(model[1])
        for thing in (experiment, model):
            source.grant("ada", thing, "EDIT")
            source.grant("carol", thing, "READ")
        target.grant("ada", before, "READ")
        kept = ("EDIT of user ada", "has READ on the target, where it was before, and keeps it")
        assert losses(copying.run(code=3)) == [kept]
        assert target.grants(before, *USERS["target"]) == {"ada": "READ", "carol": "READ"}

        copy = target.experiment_named(name)
        target.grant("carol", copy, "MANAGE", again=True)
        target.grant("dora", copy, "READ")
        told = copying.verify(code=3)
        assert "READ of user carol - is not on the target" in told
        assert "MANAGE of user carol - only on the target" in told
        assert "READ of user dora - only on the target" in told
        assert losses(copying.run(code=3)) == [kept]
        # Nothing is taken away that the source never gave.
        given = {"ada": "EDIT", "carol": "READ", "dora": "READ"}
        assert target.grants(copy, *USERS["target"]) == given

    def test_roles_and_grants_on_everything_are_told_in_plan_and_report(
        self, copying: Copying
    ) -> None:
        copying = copying.with_models
        source, target, name = copying.source, copying.target, copying.name
        experiment, model = source.experiment(name), source.model(f"{name}-model")
        source.experiment(f"other-{name}")
        made = source.call("POST", "roles/create", {"name": name, "workspace": "default"})
        role = {"role_id": made["role"]["id"], "permission": "EDIT"}
        on_it = {"resource_type": "experiment", "resource_pattern": experiment[1]}
        source.call("POST", "roles/permissions/add", {**role, **on_it})
        for user in ("ada", "bob"):
            assigned = {"username": user, "role_id": role["role_id"]}
            source.call("POST", "roles/assign", assigned)
        every = ("registered_model", "*")
        source.grant("carol", every, "READ")
        try:
            plan, report = copying.plan(), copying.run()
        finally:
            source.call("POST", "users/permissions/revoke", named(every, "carol"))
        about_role = f"role '{name}' has EDIT on experiment '{experiment[1]}' (ada, bob): roles"
        about_all = "user carol has READ on every registered model: such grants are not copied"
        assert about_role in plan
        assert about_all in plan
        told = sorted((it["kind"], it["id"]) for it in report["warnings"])
        assert told == [("experiment", experiment[1]), ("registered model", model[1])]
        assert target.grants(target.experiment_named(name), *USERS["target"]) == {}

    def test_on_scorers_too_and_what_is_changed_there_follows(self, copying: Copying) -> None:
        source, target, name = copying.source, copying.target, copying.name
        experiment = source.experiment(name)
        judge = json.dumps(
            {"name": "a/b", "serialization_version": 1, "builtin_scorer_class": "Safety"}
        )
        said = {"experiment_id": experiment[1], "name": "a/b", "serialized_scorer": judge}
        source.call("POST", "scorers/register", said)
        original = ("scorer", f"{experiment[1]}/a%2Fb")
        source.grant("ada", original, "EDIT")
        source.grant("bob", original, "READ")
        report = copying.run(code=3)
        copy = ("scorer", f"{target.experiment_named(name)[1]}/a%2Fb")
        assert target.grants(copy, *USERS["target"]) == {"ada": "EDIT"}
        assert [what for what, _ in losses(report)] == ["READ of user bob"]
        assert wrote(copying.run(code=3)) == 0
        source.grant("ada", original, "MANAGE", again=True)
        copying.run(code=3)
        assert target.grants(copy, *USERS["target"]) == {"ada": "MANAGE"}
        assert "READ of user bob - is not on the target" in copying.verify(code=3)

    @pytest.mark.skipif(not IS_3_18, reason="the installed MLflow has no skills")
    def test_on_skills_too(self, copying: Copying) -> None:
        source, target = copying.source, copying.target
        source.call("POST", "skills", {"name": "review-code", "organization": "acme"})
        skill = ("skill", "@acme/review-code")
        source.grant("ada", skill, "EDIT")
        every = dataclasses.replace(copying, by=())
        every.run("--kinds", "skills")
        assert target.grants(skill, *USERS["target"]) == {"ada": "EDIT"}
        assert wrote(every.run("--kinds", "skills")) == 0


class TestCannot:
    def test_a_source_without_passwords_has_none_and_the_plan_says_so(
        self, copying: Copying, source_server: TrackingServerProcess
    ) -> None:
        with Source(source_server.uri) as plain:
            plain.experiment(copying.name)
        bare = dataclasses.replace(copying, uris=(source_server.uri, copying.uris[1]))
        says = "permissions are not copied: the source has none that can be read: it does not run"
        assert says in bare.plan()
        assert [it["warning"][: len(says)] for it in bare.run()["warnings"]] == [says]

    def test_a_target_without_passwords_takes_none_and_each_is_told(
        self, copying: Copying, target_server: TrackingServerProcess
    ) -> None:
        source = copying.source
        source.grant("ada", source.experiment(copying.name), "EDIT")
        bare = dataclasses.replace(copying, uris=(copying.uris[0], target_server.uri))
        assert "the target has none that can be written" in bare.plan()
        told = [what for what, _ in losses(bare.run(code=3))]
        assert told == ["EDIT of user ada", "MANAGE of user admin"]
        assert "EDIT of user ada" in bare.verify()

    def test_an_account_that_is_not_an_administrator_sees_none(self, copying: Copying) -> None:
        source = copying.source
        source.grant("ada", source.experiment(copying.name), "MANAGE")
        as_ada = dataclasses.replace(copying, uris=(source.uri_as("ada"), copying.uris[1]))
        assert "ada is not an administrator there, and only those see" in as_ada.plan()


class TestCutOff:
    """Between the creation of a copy and the last of its grants."""

    def seed(self, copying: Copying) -> None:
        experiment = copying.source.experiment(copying.name)
        copying.source.grant("ada", experiment, "EDIT")
        copying.source.grant("carol", experiment, "READ")

    def granted(self, copying: Copying) -> dict[str, str]:
        copy = copying.target.experiment_named(copying.name)
        return copying.target.grants(copy, *USERS["target"])

    @pytest.mark.thorough
    @pytest.mark.parametrize(
        "accident",
        [drop_request, pytest.param(lose_response, marks=pytest.mark.thorough)],
    )
    def test_killed_at_a_grant_the_next_run_gives_what_is_missing(
        self,
        copying: Copying,
        proxies: tuple[Proxy, Proxy],
        start_migrate: StartMigrate,
        accident: Callable[[Callable[[], object]], Fault],
    ) -> None:
        self.seed(copying)
        through = copying.behind(*proxies)
        running: list[MigrateProcess] = []
        kill = accident(lambda: running[0].signal_group(signal.SIGKILL))
        proxies[1].faults = Faults(on_nth(GRANT, 2, kill))
        running.append(start_migrate(*through.words("run")))
        assert running[0].wait(60) == -signal.SIGKILL
        assert self.granted(copying).items() >= {("ada", "EDIT")}

        through.run()
        assert self.granted(copying) == {"ada": "EDIT", "carol": "READ"}
        assert len(proxies[1].matching(("POST", "/experiments/create$"))) == 1
        assert wrote(through.run()) == 0
        copying.verify()

    @pytest.mark.thorough
    def test_a_grant_whose_answer_is_lost_is_found_given(
        self, copying: Copying, proxies: tuple[Proxy, Proxy]
    ) -> None:
        self.seed(copying)
        proxies[1].faults = Faults(on_nth(GRANT, 1, lose_response()))
        assert copying.behind(*proxies).run()["complete"]
        assert self.granted(copying) == {"ada": "EDIT", "carol": "READ"}


def grants_in(text: str) -> list[dict[str, str]]:
    """The grants in a record of an export."""
    mlflow = json.loads(text).get("mlflow", {})
    held = mlflow.get("registered_model", mlflow)
    return list(held.get("permissions", {}).get("grants", ()))


def named(thing: tuple[str, str], user: str) -> dict[str, str]:
    return {"resource_type": thing[0], "resource_id": thing[1], "username": user}
