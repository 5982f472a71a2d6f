"""Servers with basic auth on both sides, each with credentials of its own, shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Migrate, Result, Seeded, everything_in, seed
from tests.conftest import ProxyFactory, ServerFactory
from tests.faults import Faults, always, answer, on_nth
from tests.seed import Source

#: With the characters that have to be written as %2F and so on in a URI.
PASSWORDS = {"source": "s0urce/of#all?@:", "target": "t@rget:for/all#"}
ADA = "ada's own ?passw/rd"

CONFIG = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/auth.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = false
auth_cache_ttl_seconds = 60
"""


@dataclass(frozen=True)
class Guarded:
    """A server with an administrator, and at the source with a user ``ada`` as well."""

    side: str
    server: TrackingServerProcess

    @property
    def uri(self) -> str:
        return self.server.uri

    def uri_as(self, user: str, password: str) -> str:
        return self.uri.replace("//", f"//{quote(user, safe='')}:{quote(password, safe='')}@")

    @property
    def as_admin(self) -> str:
        return self.uri_as("admin", PASSWORDS[self.side])

    def environment(self, user: str = "admin", password: str | None = None) -> dict[str, str]:
        prefix = f"MIGRATE_{self.side.upper()}_TRACKING_"
        password = PASSWORDS[self.side] if password is None else password
        return {f"{prefix}USERNAME": user, f"{prefix}PASSWORD": password}


@pytest.fixture(scope="module")
def ends(
    server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Guarded, Guarded]:
    def start(side: str) -> Guarded:
        folder = tmp_path_factory.mktemp(side)
        config = folder / "auth.ini"
        config.write_text(CONFIG.format(folder=folder))
        environment = {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORDS[side],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for this test",
        }
        server = server_factory(directory=folder, app_name="basic-auth", environment=environment)
        return Guarded(side, server)

    with ThreadPoolExecutor(2) as pool:
        source, target = pool.map(start, PASSWORDS)
    with Source(source.as_admin) as admin:
        admin.post("users/create", {"username": "ada", "password": ADA})
    return source, target


@pytest.fixture
def source(ends: tuple[Guarded, Guarded]) -> Guarded:
    return ends[0]


@pytest.fixture
def target(ends: tuple[Guarded, Guarded]) -> Guarded:
    return ends[1]


@pytest.fixture
def guarded_seed(source: Guarded, unique_name: str) -> Seeded:
    return seed(source.as_admin, unique_name)


def tags_on(target: Guarded, name: str) -> str:
    """Return all that the target tells of an experiment and its runs."""
    with Source(target.as_admin) as server:
        found = server.post("experiments/search", {"max_results": 1000})["experiments"]
        (experiment,) = [item for item in found if item["name"] == name]
        body = {"experiment_ids": [experiment["experiment_id"]]}
        return json.dumps([experiment, server.post("runs/search", body)])


def assert_secret(text: str) -> None:
    """Check that no password is in a text, neither as it is nor as a URI spells it."""
    for password in (*PASSWORDS.values(), ADA):
        assert password not in text
        assert quote(password, safe="") not in text
        assert quote(password) not in text


def assert_secrets_kept(result: Result, folder: Path, *texts: str) -> None:
    assert_secret(result.stdout)
    assert_secret(result.stderr)
    for text in texts:
        assert_secret(text)
    assert_secret(everything_in(folder).decode("latin-1"))


class TestRejected:
    @pytest.mark.parametrize(
        ("side", "password"), [("source", None), ("source", "wrong"), ("target", "wrong again")]
    )
    def test_missing_and_wrong_passwords_are_told_with_the_way_to_give_them(
        self, migrate: Migrate, source: Guarded, target: Guarded, side: str, password: str | None
    ) -> None:
        environment = {**source.environment(), **target.environment()}
        bad = source if side == "source" else target
        if password is None:
            environment = target.environment()
        else:
            environment |= bad.environment("admin", password)
        result = migrate.fails(
            "plan",
            source.uri,
            target.uri,
            code=1,
            says=f"the {side} at {bad.uri} does not accept the credentials (401)",
            hints=f"MIGRATE_{side.upper()}_TRACKING_USERNAME",
            env=environment,
            timeout=30,
        )
        assert password is None or password not in result.stderr
        assert_secret(result.stderr)

    def test_credentials_for_one_side_do_not_reach_the_other(
        self, migrate: Migrate, source: Guarded, target: Guarded
    ) -> None:
        says = f"the target at {target.uri} does not accept"
        migrate.fails("plan", source.as_admin, target.uri, code=1, says=says)
        swapped = {
            **Guarded("source", source.server).environment(password=PASSWORDS["target"]),
            **Guarded("target", target.server).environment(password=PASSWORDS["source"]),
        }
        says = f"the source at {source.uri} does not accept"
        migrate.fails("plan", source.uri, target.uri, code=1, says=says, env=swapped)


class TestWorking:
    def migrated(self, result: Result) -> bool:
        return json.loads(result.stdout)["complete"] is True

    def test_credentials_in_the_uris_work_and_are_kept_nowhere(
        self,
        migrate: Migrate,
        source: Guarded,
        target: Guarded,
        guarded_seed: Seeded,
        tmp_path: Path,
    ) -> None:
        ends = (source.as_admin, target.as_admin)
        name = guarded_seed.name
        result = migrate("run", *ends, "--experiments", name, "--json", "--debug")
        assert self.migrated(result)
        assert_secrets_kept(result, tmp_path, tags_on(target, name))
        for command in (["status"], ["map", "--csv"]):
            assert_secrets_kept(migrate(*command), tmp_path)

        # The state does not have them, so they have to be given again.
        result = migrate.fails("run", "--resume", code=1, says="does not accept the credentials")
        assert_secrets_kept(result, tmp_path)
        again = {**source.environment(), **target.environment()}
        assert self.migrated(migrate("run", "--resume", "--json", env=again))

    def test_credentials_in_the_environment_work_whatever_mlflows_own_say(
        self,
        migrate: Migrate,
        source: Guarded,
        target: Guarded,
        guarded_seed: Seeded,
        tmp_path: Path,
    ) -> None:
        environment: Mapping[str, str] = {
            **source.environment(),
            **target.environment(),
            "MLFLOW_TRACKING_USERNAME": "somebody",
            "MLFLOW_TRACKING_PASSWORD": "else",
        }
        selected = ("--experiments", guarded_seed.name)
        result = migrate("run", source.uri, target.uri, *selected, "--json", env=environment)
        assert self.migrated(result)
        assert_secrets_kept(result, tmp_path, tags_on(target, guarded_seed.name))

    def test_failures_show_no_credentials_either(
        self,
        migrate: Migrate,
        source: Guarded,
        target: Guarded,
        guarded_seed: Seeded,
        proxy_factory: ProxyFactory,
        tmp_path: Path,
    ) -> None:
        batch = ("POST", "/runs/log-batch$")
        broken = Faults(on_nth(batch, 1, answer(503, retry_after=0)), always(batch, answer(400)))
        proxy = proxy_factory(target.uri, faults=broken)
        through = target.as_admin.replace(target.uri.removeprefix("http://"), "").rstrip("/")
        through += proxy.uri.removeprefix("http://")
        result = migrate(
            "run",
            source.as_admin,
            through,
            "--experiments",
            guarded_seed.name,
            "--debug",
            code=3,
        )
        assert "trying again" in result.stderr
        assert "answered 400" in result.stdout
        assert_secrets_kept(result, tmp_path)


class TestPartOfAServer:
    def test_an_account_that_sees_a_part_only_is_told_so(
        self, migrate: Migrate, source: Guarded, target: Guarded, unique_name: str
    ) -> None:
        mine = seed(source.uri_as("ada", ADA), f"{unique_name} of ada")
        hidden = seed(source.as_admin, f"{unique_name} of the administrator")
        as_ada = source.uri_as("ada", ADA)
        plan = migrate("plan", as_ada, target.as_admin).stdout
        assert "source: ada is not an administrator there" in plan
        assert_secret(plan)

        # What MLflow keeps from ada may be there: that is not "nothing lost".
        result = migrate("run", as_ada, target.as_admin, "--json", code=3)
        assert "has webhooks is not known" in result.stdout
        rows = migrate("map").stdout
        assert mine.experiment in rows.split()
        assert hidden.parent not in rows
        assert_secret(result.stdout)

    def test_an_administrator_is_told_nothing_of_the_kind(
        self, migrate: Migrate, source: Guarded, target: Guarded
    ) -> None:
        plan = migrate("plan", source.as_admin, target.as_admin, "--experiments", "0").stdout
        assert "administrator" not in plan

    def test_what_an_account_may_not_do_is_told_by_name(
        self, migrate: Migrate, source: Guarded, target: Guarded, guarded_seed: Seeded
    ) -> None:
        # Both ways round: here ada writes, to a server where she may not touch this name.
        environment = {
            "MIGRATE_SOURCE_TRACKING_USERNAME": "admin",
            "MIGRATE_SOURCE_TRACKING_PASSWORD": PASSWORDS["target"],
            "MIGRATE_TARGET_TRACKING_USERNAME": "ada",
            "MIGRATE_TARGET_TRACKING_PASSWORD": ADA,
        }
        with Source(target.as_admin) as server:
            server.run("r", server.experiment(guarded_seed.name))
        selected = ("--experiments", guarded_seed.name)
        report = migrate("run", target.uri, source.uri, *selected, code=3, env=environment).stdout
        assert "Failed (1)" in report
        assert guarded_seed.name in report
