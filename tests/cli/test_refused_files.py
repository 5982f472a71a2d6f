"""Files that are refused, hidden behind a login, or find no room."""

from __future__ import annotations

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Seeded, Typed
from tests.conftest import ProxyFactory
from tests.faults import Fault, Faults, always, answer, answer_with
from tests.proxy import Proxy
from tests.seed import Source


@pytest.fixture
def gateway(source_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(source_server.uri)


@pytest.fixture
def behind(target_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    """A gateway before the target."""
    return proxy_factory(target_server.uri)


@pytest.mark.parametrize(
    "fault",
    [answer(403), pytest.param(answer_with("{}"), marks=pytest.mark.thorough)],
    ids=["403", "empty"],
)
@pytest.mark.parametrize(
    "again", [["run", "--resume"], pytest.param(["run"], marks=pytest.mark.thorough)], ids=" ".join
)
def test_files_that_were_not_listed_are_asked_for_again(
    typed: Typed,
    seeded: Seeded,
    gateway: Proxy,
    behind: Proxy,
    again: list[str],
    fault: Fault,
) -> None:
    selected = ("--experiments", seeded.name)
    ends = (gateway.uri, behind.uri)
    listing = ("GET", "/artifacts(/list)?$")
    gateway.faults = Faults(always(listing, fault))
    assert "not listed by the source" in typed("run", *ends, *selected, code=3).stdout

    go_on = again if "--resume" in again else [*again, *ends, *selected]
    behind.clear()
    gateway.clear()
    assert "not listed by the source" in typed(*go_on, code=3).stdout
    assert gateway.matching(listing)
    assert behind.writes() == []

    gateway.faults = Faults()
    assert "nothing lost" in typed(*go_on).stdout
    assert [exchange.status for exchange in behind.matching(("PUT", "model/weights$"))] == [200]
    behind.clear()
    typed(*go_on)
    assert behind.writes() == []


def test_a_login_page_for_files_stops_it(
    typed: Typed, seeded: Seeded, gateway: Proxy, behind: Proxy
) -> None:
    page = answer_with("<html>Log in</html>", 200, "text/html")
    gateway.faults = Faults(always(("GET", "/mlflow-artifacts/artifacts$"), page))
    ends = (gateway.uri, behind.uri)
    selected = ("--experiments", seeded.name, "--quiet")
    says, hints = "answered with a web page", "log in at the gateway before the source"
    typed.fails("run", *ends, *selected, code=1, says=says, hints=hints)
    gateway.faults = Faults()
    assert "nothing lost" in typed("run", "--resume").stdout


def test_a_target_whose_disk_is_full_stops_it_at_once(
    typed: Typed, seeded: Seeded, source_server: TrackingServerProcess, behind: Proxy
) -> None:
    upload = ("PUT", "/mlflow-artifacts/artifacts/")
    full = answer_with('{"message": "[Errno 28] No space left on device"}', 500)
    behind.faults = Faults(always(upload, full))
    ends = (source_server.uri, behind.uri)
    says, hints = "No space left on device", "make room where the target keeps its files"
    typed.fails(
        "run", *ends, "--experiments", seeded.name, "--quiet", code=1, says=says, hints=hints
    )
    assert len(behind.matching(upload)) == 1
    behind.faults = Faults()
    assert "nothing lost" in typed("run", "--resume").stdout


def test_the_other_files_of_a_run_are_not_tried_on_a_full_disk(
    typed: Typed, source_server: TrackingServerProcess, behind: Proxy, unique_name: str
) -> None:
    upload = ("PUT", "/mlflow-artifacts/artifacts/")
    with Source(source_server.uri) as source:
        run_id = source.run("many", source.experiment(unique_name))
        for number in range(60):
            source.artifact(run_id, f"{number}.txt", b"x")
    behind.faults = Faults(always(upload, answer(507)))
    words = ("--experiments", unique_name, "--quiet")
    typed("run", source_server.uri, behind.uri, *words, code=1)
    # Those under way are waited for, the others are not begun.
    assert len(behind.matching(upload)) < 20


@pytest.mark.parametrize(
    "executor", ["threads", pytest.param("serial", marks=pytest.mark.thorough)]
)
def test_other_runs_are_not_begun_on_a_full_disk(
    typed: Typed,
    source_server: TrackingServerProcess,
    behind: Proxy,
    unique_name: str,
    executor: str,
) -> None:
    with Source(source_server.uri) as source:
        experiment = source.experiment(unique_name)
        for number in range(16):
            source.artifact(source.run(f"{number}", experiment), "file.txt", b"x")
    upload = ("PUT", "/mlflow-artifacts/artifacts/")
    behind.faults = Faults(always(upload, answer(507)))
    words = ("--experiments", unique_name, "--quiet", "--workers", "2", "--executor", executor)
    typed("run", source_server.uri, behind.uri, *words, code=1)
    # Those of two batches that were under way.
    assert 1 <= len(behind.matching(("POST", "/runs/create$"))) <= 4
    behind.faults = Faults()
    assert "nothing lost" in typed("run", "--resume").stdout
