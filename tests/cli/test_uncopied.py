"""What is not copied is counted, or is said not to be known; and reading it writes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints import protocols
from migrate.endpoints.addresses import Address, open_source
from migrate.kinds import Kind
from migrate.tasks.carriers import record_carriers
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory, ServerFactory
from tests.faults import Fault, Faults, always, answer, answer_with
from tests.proxy import Proxy
from tests.seed import Source
from tests.seed_records import Api
from tests.seed_reviews import open_questions

EMPTY = answer_with("{}")
OF_SERVER = {Kind.JOB: 1}


def put_job(server: TrackingServerProcess) -> None:
    """Write a job into a server's database: no client can make one."""
    row = {"id": "j-1", "creation_time": 1, "job_name": "optimize", "params": "{}", "status": 2}
    row |= {"retry_count": 0, "last_update_time": 1, "workspace": "default"}
    database = sqlite3.connect(server.directory / "mlflow.db")
    with closing(database), database:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        database.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", list(row.values()))


class Filled(NamedTuple):
    """A server, and two of its experiments: one holds one of each kind, the other nothing."""

    server: TrackingServerProcess
    full: str
    empty: str


@pytest.fixture(scope="module")
def filled(fresh_source: TrackingServerProcess) -> Filled:
    with Source(fresh_source.uri) as seed:
        full, empty = seed.experiment("full"), seed.experiment("empty")

        seed.trace(full)
        open_questions(Api(fresh_source.uri), full)
        put_job(fresh_source)
    return Filled(fresh_source, full, empty)


@pytest.fixture
def proxy(filled: Filled, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(filled.server.uri)


@pytest.fixture
def source(proxy: Proxy) -> Iterator[protocols.Source]:
    with closing(open_source(Address(uri=proxy.uri, side="source", workers=4))) as opened:
        opened.capabilities()
        yield opened


def test_all_of_a_server_is_counted_without_a_write(
    source: protocols.Source, proxy: Proxy, filled: Filled
) -> None:
    found = source.unsupported([filled.full, filled.empty], whole_server=True)
    assert found == OF_SERVER
    assert source.unknown() == ()
    assert proxy.writes() == []


def test_of_chosen_experiments_only_what_is_in_them_is_counted(
    source: protocols.Source, filled: Filled
) -> None:
    assert source.unsupported([filled.full]) == {}
    assert source.unsupported([filled.empty]) == {}
    assert source.unsupported([]) == {}
    assert source.unknown() == ()


OF_GATEWAY = {kind for kind in Kind if kind.startswith("gateway")}
ROUTES = {
    Kind.TRACE: "/traces",
    Kind.JOB: "/jobs/search$",
    Kind.GATEWAY_ENDPOINT: "/gateway/endpoints/",
    Kind.GATEWAY_MODEL: "/gateway/model-definitions/",
    Kind.GATEWAY_SECRET: "/gateway/secrets/",
    Kind.GATEWAY_BUDGET: "/gateway/budgets/",
    Kind.GATEWAY_GUARDRAIL: "/gateway/guardrails/",
}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(answer(404), id="404"),
        pytest.param(EMPTY, id="nothing"),
        pytest.param(answer(403), id="403", marks=pytest.mark.thorough),
        pytest.param(answer(200), id="a web page", marks=pytest.mark.thorough),
        pytest.param(answer(500), id="500", marks=pytest.mark.thorough),
    ],
)
def test_each_kind_that_cannot_be_asked_for_is_unknown_by_name(
    source: protocols.Source, proxy: Proxy, filled: Filled, fault: Fault
) -> None:
    proxy.faults = Faults(*(always(("*", route), fault) for route in ROUTES.values()))
    assert source.unsupported([filled.full], whole_server=True) == {}
    assert [source.store(kind) for kind in ROUTES if kind in OF_GATEWAY] == [None] * 5
    said = source.unknown()
    assert len(said) == len(ROUTES)
    for kind in ROUTES:
        assert any(f"has {kind.plural} is not known: " in text for text in said), kind


def test_a_server_with_none_of_it_is_complete(
    fresh_target: TrackingServerProcess, proxy_factory: ProxyFactory
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    with closing(open_source(Address(uri=proxy.uri, side="source", workers=4))) as opened:
        assert opened.unsupported(["0"], whole_server=True) == {}
        assert opened.unknown() == ()
    assert proxy.writes() == []


def test_a_server_of_a_release_that_nobody_knows_here_may_have_more(
    typed: Typed, fresh_target: TrackingServerProcess, proxy_factory: ProxyFactory, tmp_path: Path
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    proxy.faults = Faults(always(("GET", "^/version$"), answer_with("3.99.0", 200, "text/plain")))
    said = typed("run", proxy.uri, tmp_path / "export", code=3).stdout
    told = "kinds of objects that came since is not known: MLflow 3.99.0 is newer than"
    assert told in " ".join(said.split())
    assert told in " ".join(typed("verify", code=3).stdout.split())
    # Asked for what is known, nothing is missed.
    chosen = ("--kinds", "experiments,runs", "--state", tmp_path / "chosen.db")
    typed("run", proxy.uri, tmp_path / "other", *chosen)
    typed("verify", proxy.uri, tmp_path / "other", *chosen)


@pytest.mark.thorough
def test_a_server_on_files_says_itself_that_it_keeps_none_of_it(
    server_factory: ServerFactory, tmp_path: Path
) -> None:
    on_files = server_factory(
        backend_store_uri=str(tmp_path / "mlruns"), environment={"MLFLOW_ALLOW_FILE_STORE": "true"}
    )
    with closing(open_source(Address(uri=on_files.uri, side="source", workers=4))) as opened:
        assert opened.unsupported(["0"], whole_server=True) == {}
        assert [opened.store(carrier.kind) for carrier in record_carriers()] == [
            None for _ in record_carriers()
        ]
        assert opened.unknown() == ()


def test_plan_and_report_count_it_and_end_in_3(
    typed: Typed, filled: Filled, fresh_target: TrackingServerProcess
) -> None:
    ends = (filled.server.uri, fresh_target.uri)
    plan = json.loads(typed("plan", *ends, "--json").stdout)
    assert plan["unsupported"] == {str(kind): number for kind, number in OF_SERVER.items()}
    shown = typed("run", *ends, code=3).stdout
    assert "1 job not copied by this version" in shown
    assert "nothing lost" not in shown
    assert "nothing lost" in typed("run", *ends, "--experiments", "empty").stdout

    verified = typed("verify", *ends, code=3).stdout
    assert "Not copied by this version:\n" in verified
    assert "  1 job\n" in verified
    last = verified.splitlines()[-1]
    assert ": no difference in what is copied; 1 job not copied by this version" in last
    said = json.loads(typed("verify", *ends, "--json", code=3).stdout)
    assert (said["equal"], said["unsupported"]) == (True, plan["unsupported"])
    last = typed("verify", *ends, "--experiments", "empty").stdout.splitlines()[-1]
    assert last.endswith(": no difference.")


def test_verify_of_an_import_tells_what_the_export_left_behind(
    typed: Typed, filled: Filled, fresh_target: TrackingServerProcess, tmp_path: Path
) -> None:
    export = str(tmp_path / "export")
    typed("run", filled.server.uri, export, code=3)
    assert "1 job" in typed("verify", filled.server.uri, export, code=3).stdout
    typed("run", export, fresh_target.uri, code=3)
    assert "1 job" in typed("verify", export, fresh_target.uri, code=3).stdout


def test_verify_says_of_a_kind_that_it_cannot_ask_for_that_it_is_not_known(
    typed: Typed, filled: Filled, fresh_target: TrackingServerProcess, proxy: Proxy
) -> None:
    ends, chosen = (proxy.uri, fresh_target.uri), ("--experiments", "empty")
    typed("run", *ends, *chosen)
    proxy.faults = Faults(always(("*", "/datasets/search$"), answer(403)))
    last = typed("verify", *ends, *chosen, code=3).stdout.splitlines()[-1]
    assert last.endswith(": no difference; 1 thing not known.")


@pytest.mark.parametrize(
    "fault", [pytest.param(answer(403), id="403"), pytest.param(EMPTY, id="nothing")]
)
def test_whether_there_are_issues_is_not_known_where_they_cannot_be_asked_for(
    typed: Typed,
    filled: Filled,
    fresh_target: TrackingServerProcess,
    proxy: Proxy,
    fault: Fault,
) -> None:
    proxy.faults = Faults(always(("*", "/issues/search$"), fault))
    ends = (proxy.uri, fresh_target.uri, "--experiments", "empty")
    plan = json.loads(typed("plan", *ends, "--json").stdout)
    (said,) = plan["unknown"]
    assert "whether the source has issues is not known: " in said
    typed("run", *ends, code=3)
    assert "has issues is not known" in typed("verify", *ends, code=3).stdout
