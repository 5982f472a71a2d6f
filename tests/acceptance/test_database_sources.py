"""What a server holds is read from its database, as it is read from the server itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.database.endpoint import DatabaseSource
from migrate.endpoints.database.opening import begin, engine_of
from tests.acceptance.backing import BY_CHARACTERS, MariaDB, postgres
from tests.acceptance.commands import Migration, reported_losses
from tests.cli.test_everything import ALWAYS_LOST, review
from tests.comparison import copies_of_runs, differences
from tests.comparison_models import compare_models
from tests.comparison_records import SEEDED, kinds_that_differ
from tests.conftest import RunMigrate, ServerFactory
from tests.endpoints.databases import unpacked, unpacked_artifacts
from tests.seed import Seeded, seed_everything
from tests.seed_gateway import Gateway
from tests.seed_models import SeededModels, seed_models
from tests.seed_records import Api
from tests.traces.comparison import assert_arrived
from tests.traces.seed import SeededTraces, seed_traces

#: May read what a server's account made, and nothing else.
READER = "reader"


@dataclass(frozen=True)
class Kept:
    """A server with every case, and the URI at which its database is read."""

    server: TrackingServerProcess
    uri: str
    seeded: Seeded
    models: SeededModels
    traces: SeededTraces


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def kept(request: pytest.FixtureRequest, server_factory: ServerFactory) -> Iterator[Kept]:
    with ExitStack() as running:
        if request.param == "sqlite":
            server = server_factory()
            uri = f"sqlite:///{server.directory / 'mlflow.db'}"
        elif request.param == "postgres":
            owner = running.enter_context(postgres())
            server = running.enter_context(server_factory(backend_store_uri=owner))
            uri = _reader_of(owner)
        else:
            backing: MariaDB = request.getfixturevalue("mariadb_server")
            owner = backing.database(BY_CHARACTERS)
            server = running.enter_context(server_factory(backend_store_uri=owner))
            uri = _mariadb_reader_of(owner, backing)
        seeded = seed_everything(
            server.uri, history_points=26_000, over_long_tag=request.param == "sqlite"
        )
        models = seed_models(server.uri, prefix="m-")
        yield Kept(server, uri, seeded, models, _seed_other_kinds(server.uri))


def _seed_other_kinds(server: str) -> SeededTraces:
    of_traces = seed_traces(server, "traces")
    Gateway(server)
    for it in SEEDED:
        it.seed(Api(server))
    review(server, of_traces)
    return of_traces


def _reader_of(owner: str) -> str:
    """Return the URI of an account that may read the tables there are, and no more."""
    engine = sqlalchemy.create_engine(owner)
    with engine.begin() as connection:
        for statement in (
            f"CREATE ROLE {READER} LOGIN PASSWORD 'only reads'",
            f"GRANT USAGE ON SCHEMA public TO {READER}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    address = sqlalchemy.make_url(owner).set(username=READER, password="only reads")
    return address.render_as_string(hide_password=False)


def _mariadb_reader_of(owner: str, backing: MariaDB) -> str:
    address = sqlalchemy.make_url(owner)
    backing.run(f"CREATE USER {READER}@'%%' IDENTIFIED BY 'only reads'")
    backing.run(f"GRANT SELECT ON {address.database}.* TO {READER}@'%%'")
    return address.set(username=READER, password="only reads").render_as_string(hide_password=False)


def test_everything_that_is_read_arrives_as_from_the_server(
    kept: Kept,
    fresh_target: TrackingServerProcess,
    run_migrate: RunMigrate,
    tmp_path: Path,
) -> None:
    files = ("--source-artifacts", str(kept.server.directory / "artifacts"))
    migration = Migration(
        run_migrate=run_migrate,
        source=kept.uri,
        target=fresh_target.uri,
        state=tmp_path / "state.db",
        options=files,
    )
    code, report = migration.run()
    assert report["failures"] == []
    hard = "/".join(map(str, kept.models.versions["deleted model"]))
    always = {it["id"] for it in report["losses"] if (it["kind"], it["what"]) in ALWAYS_LOST}
    losses = {loss for loss in reported_losses(report) if loss[0] not in {hard, *always}}
    assert losses == kept.seeded.losses
    assert report["unsupported"] == {}
    assert code == (3 if report["losses"] else 0)
    assert "only reads" not in (tmp_path / "state.db").read_bytes().decode("latin-1")

    expected = kept.seeded.losses | kept.models.rewritten
    ends = (kept.server.uri, fresh_target.uri)
    assert differences(*ends, expected_losses=expected) == []
    declared = {(hard, what) for what in ("copy", "source", "run_id")}
    declared |= {(kept.models.runs["nested models"], "artifact of-another-run/MLmodel")}
    copies = copies_of_runs(*ends)
    assert compare_models(*ends, copies, declared=declared) == []
    assert kinds_that_differ(*ends) == []
    assert_arrived(*ends, kept.traces, copies)

    code, verified = migration.verify()
    assert verified["differences"] == []
    _, again = migration.run()
    assert sum(totals["wrote"] for totals in again["totals"].values()) == 0


@pytest.fixture(params=["postgres", "mariadb without case"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with every case in it, that was no server's."""
    with ExitStack() as running:
        if request.param == "postgres":
            uri = running.enter_context(postgres())
        else:
            backing: MariaDB = request.getfixturevalue("mariadb_server")
            uri = backing.database()
        yield uri


def _filled(uri: str, folder: Path, run_migrate: RunMigrate) -> None:
    source, files = unpacked("3.17.2", folder), unpacked_artifacts(folder)
    places = ("--source-artifacts", files, "--target-artifacts", folder / "placed")
    run_migrate("run", f"sqlite:///{source}", uri, *places, "--include-deleted")


def test_a_server_goes_on_writing_while_its_database_is_read_in_one_state(
    owner: str, tmp_path: Path, run_migrate: RunMigrate
) -> None:
    _filled(owner, tmp_path, run_migrate)
    engine = sqlalchemy.create_engine(owner, poolclass=sqlalchemy.NullPool)
    with closing(DatabaseSource(owner, side="source")) as source, engine.connect() as server:
        runs = source.runs.list(["1"])
        next(runs)
        server.exec_driver_sql("UPDATE experiments SET name = concat(name, '!')")
        server.commit()
        assert not [it.name for it in source.experiments.list() if it.name.endswith("!")]
        assert source.capabilities().notes == ()
        assert list(runs)
    with closing(DatabaseSource(owner, side="source")) as source:
        assert all(it.name.endswith("!") for it in source.experiments.list())


def test_nothing_can_be_written_to_a_source(
    owner: str, tmp_path: Path, run_migrate: RunMigrate
) -> None:
    _filled(owner, tmp_path, run_migrate)
    with engine_of(owner).connect() as connection:
        begin(connection)
        with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"(?i)read.only"):
            connection.exec_driver_sql("UPDATE experiments SET name = 'x'")


def test_what_differs_in_case_only_is_read_as_it_is_spelled(
    mariadb_server: MariaDB, tmp_path: Path, run_migrate: RunMigrate
) -> None:
    """MariaDB keeps both, where something else than the name tells rows from each other."""
    uri = mariadb_server.database()
    _filled(uri, tmp_path, run_migrate)
    name = uri.rpartition("/")[2]
    [(full,)] = mariadb_server.run(f"SELECT run_uuid FROM {name}.runs WHERE name = 'full'")
    point = "0.5, 1700000000000, {}, 0"
    for key, step in (("Spelled", 1), ("spelled", 2), ("spelled", 3)):
        mariadb_server.run(
            f"INSERT INTO {name}.metrics (`key`, run_uuid, value, timestamp, step, is_nan) "
            f"VALUES ('{key}', '{full}', {point.format(step)})"
        )
    # As MLflow does where a client names a registered model in another case.
    mariadb_server.run(
        f"INSERT INTO {name}.model_versions (name, version, current_stage, status, source, "
        "creation_time, last_updated_time, workspace) "
        "VALUES ('MODELA', 77, 'None', 'READY', 's3://b/x', 1, 1, 'default')"
    )
    with closing(DatabaseSource(uri, side="source")) as source:
        [run] = source.runs.read([full])
        for budget in (0, 10**6):
            points = source.runs.histories([run], budget)[full]
            steps = {
                key: sorted(it.step for it in points.points if it.key == key)
                for key in ("Spelled", "spelled")
            }
            for key in set(points.unread) & steps.keys():
                pages = source.runs.metric_history(full, key)
                steps[key] = sorted(it.step for page in pages for it in page)
            assert steps == {"Spelled": [1], "spelled": [2, 3]}
        models = list(source.registered_models.list())
        versions = {(it.name, it.version) for it in source.model_versions.list(models)}
        assert ("modelA", 77) in versions
        assert source.unreadable.all() == []
