"""The servers and the proxy that the other tests stand on do what those tests take for granted."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import requests

from migrate.demo.server import ServerDidNotStart, TrackingServerProcess
from tests.conftest import ROOT, ProxyFactory, ServerFactory
from tests.faults import (
    Fault,
    Faults,
    always,
    answer,
    call_after,
    call_before,
    call_during,
    cut_upload,
    delay,
    drop_request,
    every_nth,
    hang,
    lose_response,
    on_nth,
    random_share,
    replace_response,
    truncate,
)
from tests.proxy import Proxy

CREATE_RUN = ("POST", r"/runs/create$")
SEARCH_RUNS = ("POST", r"/runs/search$")
UPLOAD = ("PUT", r"/mlflow-artifacts/artifacts/")
MB = 1 << 20


def post(uri: str, call: str, body: dict[str, Any]) -> Any:
    response = requests.post(f"{uri}/api/2.0/mlflow/{call}", json=body, timeout=30)
    response.raise_for_status()
    return response.json()


def create_experiment(uri: str, name: str) -> str:
    experiment_id: str = post(uri, "experiments/create", {"name": name})["experiment_id"]
    return experiment_id


def create_run(uri: str, experiment_id: str) -> requests.Response:
    body = {"experiment_id": experiment_id, "start_time": 1}
    return requests.post(f"{uri}/api/2.0/mlflow/runs/create", json=body, timeout=30)


def count_runs(uri: str, experiment_id: str) -> int:
    body = {"experiment_ids": [experiment_id], "max_results": 1000}
    return len(post(uri, "runs/search", body).get("runs", []))


def artifact(uri: str, path: str) -> str:
    return f"{uri}/api/2.0/mlflow-artifacts/artifacts/{path}"


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def experiment(source_server: TrackingServerProcess, unique_name: str) -> str:
    return create_experiment(source_server.uri, unique_name)


@pytest.fixture
def proxy(source_server: TrackingServerProcess, proxy_factory: ProxyFactory) -> Proxy:
    return proxy_factory(source_server.uri)


class TestCounting:
    def test_requests_are_recorded_with_method_path_query_and_status(
        self, proxy: Proxy, experiment: str
    ) -> None:
        path = "/api/2.0/mlflow/experiments/get"
        requests.get(f"{proxy.uri}{path}?experiment_id={experiment}", timeout=30)
        requests.get(f"{proxy.uri}{path}?experiment_id=777777", timeout=30)

        found, missing = proxy.requests
        assert (found.method, found.path, found.query, found.status) == (
            "GET",
            path,
            f"experiment_id={experiment}",
            200,
        )
        assert (missing.status, missing.server_status) == (404, 404)

    def test_searches_are_no_writes_and_creates_are(self, proxy: Proxy, experiment: str) -> None:
        post(proxy.uri, "experiments/search", {"max_results": 1})
        count_runs(proxy.uri, experiment)
        requests.get(f"{proxy.uri}/health", timeout=30)
        requests.head(f"{proxy.uri}/health", timeout=30)
        assert proxy.writes() == []

        create_run(proxy.uri, experiment)
        requests.put(artifact(proxy.uri, f"{experiment}/f"), data=b"x", timeout=30)
        assert [write.method for write in proxy.writes()] == ["POST", "PUT"]
        assert len(proxy.matching(CREATE_RUN)) == 1

        proxy.clear()
        assert proxy.requests == []

    @pytest.mark.parametrize(
        "call", ["logged-models/search", "experiments/search-datasets", "traces/batchGetInfos"]
    )
    def test_other_reading_posts_are_no_writes(self, proxy: Proxy, call: str) -> None:
        requests.post(f"{proxy.uri}/api/2.0/mlflow/{call}", json={}, timeout=30)
        assert len(proxy.requests) == 1
        assert proxy.writes() == []

    def test_a_get_that_makes_mlflow_write_is_a_write(self, proxy: Proxy) -> None:
        requests.get(f"{proxy.uri}/api/3.0/mlflow/label-schemas/list", timeout=30)
        assert len(proxy.writes()) == 1


class TestConnections:
    def test_a_pooled_client_keeps_its_connection(self, proxy: Proxy, experiment: str) -> None:
        host, port = proxy.uri.removeprefix("http://").split(":")
        client = HTTPConnection(host, int(port), timeout=30)
        client.connect()
        local_port = client.sock.getsockname()[1]
        for method, path in [("GET", "/health"), ("GET", "/no-such-page"), ("HEAD", "/health")] * 3:
            client.request(method, path)
            client.getresponse().read()
        for _ in range(3):
            client.request(
                "PUT",
                f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/chunked",
                body=iter([b"12345"] * 10),
                encode_chunked=True,
                headers={"Transfer-Encoding": "chunked"},
            )
            assert client.getresponse().read() is not None
        assert client.sock.getsockname()[1] == local_port
        client.close()
        assert len(proxy.requests) == 12
        content = requests.get(artifact(proxy.uri, f"{experiment}/chunked"), timeout=30).content
        assert content == b"12345" * 10

    def test_the_proxy_adds_little_time(
        self, proxy: Proxy, source_server: TrackingServerProcess
    ) -> None:
        def median_of_100(uri: str) -> float:
            times = []
            with requests.Session() as session:
                for _ in range(100):
                    begin = time.perf_counter()
                    session.get(f"{uri}/health", timeout=30)
                    times.append(time.perf_counter() - begin)
            return statistics.median(times)

        direct, through = median_of_100(source_server.uri), median_of_100(proxy.uri)
        print(f"median of GET /health: {direct * 1e3:.2f} ms, {through * 1e3:.2f} ms by proxy")
        assert through - direct < 0.02

    def test_stopping_ends_a_hanging_request(self, source_server: TrackingServerProcess) -> None:
        outcome: list[object] = []

        def ask(uri: str) -> None:
            try:
                outcome.append(requests.get(f"{uri}/health", timeout=60))
            except requests.ConnectionError as error:
                outcome.append(error)

        with Proxy(source_server.uri, faults=Faults(always(("GET", "/health"), hang()))) as proxy:
            client = threading.Thread(target=ask, args=(proxy.uri,))
            client.start()
            while not proxy.requests:
                time.sleep(0.01)
            begin = time.monotonic()
        client.join()
        assert time.monotonic() - begin < 5
        assert isinstance(outcome[0], requests.ConnectionError)

    def test_a_server_that_is_down_looks_like_a_broken_connection(
        self, proxy_factory: ProxyFactory
    ) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            proxy = proxy_factory(f"http://127.0.0.1:{bound.getsockname()[1]}")
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{proxy.uri}/health", timeout=30)
        assert [(r.status, r.server_status) for r in proxy.requests] == [(None, None)]


class TestFaults:
    def test_a_lost_response_leaves_what_the_server_did(
        self, proxy: Proxy, experiment: str
    ) -> None:
        proxy.faults = Faults(on_nth(CREATE_RUN, 2, lose_response()))
        assert create_run(proxy.uri, experiment).status_code == 200
        with pytest.raises(requests.ConnectionError):
            create_run(proxy.uri, experiment)
        assert create_run(proxy.uri, experiment).status_code == 200

        assert count_runs(proxy.uri, experiment) == 3
        creates = proxy.matching(CREATE_RUN)
        assert [create.status for create in creates] == [200, None, 200]
        assert [create.server_status for create in creates] == [200, 200, 200]

    def test_a_dropped_request_never_reaches_the_server(
        self, proxy: Proxy, experiment: str
    ) -> None:
        proxy.faults = Faults(on_nth(CREATE_RUN, 1, drop_request()))
        with pytest.raises(requests.ConnectionError):
            create_run(proxy.uri, experiment)
        assert count_runs(proxy.uri, experiment) == 0

    def test_an_injected_status_comes_instead_of_the_server(
        self, proxy: Proxy, experiment: str
    ) -> None:
        proxy.faults = Faults(on_nth(CREATE_RUN, 1, answer(429, retry_after=7)))
        response = create_run(proxy.uri, experiment)
        assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
        assert count_runs(proxy.uri, experiment) == 0
        assert proxy.requests[0].server_status is None

    def test_a_replaced_status_hides_what_the_server_did(
        self, proxy: Proxy, experiment: str
    ) -> None:
        proxy.faults = Faults(on_nth(CREATE_RUN, 1, replace_response(503)))
        response = create_run(proxy.uri, experiment)
        assert response.status_code == 503
        assert "Retry-After" not in response.headers
        assert count_runs(proxy.uri, experiment) == 1
        assert (proxy.requests[0].status, proxy.requests[0].server_status) == (503, 200)

    def test_a_refused_upload_leaves_the_connection_usable(
        self, proxy: Proxy, experiment: str
    ) -> None:
        proxy.faults = Faults(on_nth(UPLOAD, 1, answer(503)))
        with requests.Session() as session:
            url = artifact(proxy.uri, f"{experiment}/file")
            assert session.put(url, data=bytes(5 * MB), timeout=30).status_code == 503
            assert session.get(url, timeout=30).status_code == 404

    def test_a_truncated_response_ends_after_so_many_bytes(
        self, proxy: Proxy, experiment: str
    ) -> None:
        url = artifact(proxy.uri, f"{experiment}/file")
        requests.put(url, data=bytes(3 * MB), timeout=30)
        proxy.faults = Faults(on_nth(("GET", "/artifacts/"), 1, truncate(1_000_000)))
        with requests.get(url, stream=True, timeout=30) as response:
            assert response.headers["Content-Length"] == str(3 * MB)
            received: list[bytes] = []
            with pytest.raises(requests.RequestException):
                received.extend(response.iter_content(1000))
            assert len(b"".join(received)) == 1_000_000
        assert len(requests.get(url, timeout=30).content) == 3 * MB

    def test_a_hanging_request_ends_when_the_client_gives_up(
        self, proxy: Proxy, experiment: str
    ) -> None:
        proxy.faults = Faults(on_nth(("GET", "/health"), 1, hang()))
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{proxy.uri}/health", timeout=0.3)
        assert requests.get(f"{proxy.uri}/health", timeout=30).status_code == 200

    def test_delays_come_before_and_after_the_server(self, proxy: Proxy, experiment: str) -> None:
        moments: list[float] = []
        fault = Fault(
            delay_before=0.2,
            before=lambda: moments.append(time.monotonic()),
            after=lambda: moments.append(time.monotonic()),
            delay_after=0.3,
        )
        proxy.faults = Faults(on_nth(CREATE_RUN, 1, fault))
        begin = time.monotonic()
        create_run(proxy.uri, experiment)
        end = time.monotonic()
        assert moments[0] - begin >= 0.2
        assert end - moments[1] >= 0.3

    def test_latency_is_added_to_every_request(
        self, source_server: TrackingServerProcess, proxy_factory: ProxyFactory
    ) -> None:
        proxy = proxy_factory(source_server.uri, latency=0.1)
        proxy.faults = Faults(on_nth(("GET", "/health"), 2, delay(before=0.1)))
        times = []
        for _ in range(2):
            begin = time.monotonic()
            requests.get(f"{proxy.uri}/health", timeout=30)
            times.append(time.monotonic() - begin)
        assert times[0] >= 0.2
        assert times[1] >= 0.3

    def test_a_broken_callback_is_not_overlooked(
        self, source_server: TrackingServerProcess
    ) -> None:
        def fail() -> None:
            raise ProcessLookupError("nobody to kill")

        with (
            pytest.raises(RuntimeError, match="callback") as raised,
            Proxy(source_server.uri, faults=Faults(on_nth(("GET", "/health"), 1, fail))) as proxy,
        ):
            requests.get(f"{proxy.uri}/health", timeout=30)
        assert isinstance(raised.value.__cause__, ProcessLookupError)


class TestMoments:
    """Callbacks come exactly when they are said to."""

    def test_before_the_server_sees_the_nth_create(
        self, proxy: Proxy, source_server: TrackingServerProcess, experiment: str
    ) -> None:
        seen: list[int] = []
        look = call_before(lambda: seen.append(count_runs(source_server.uri, experiment)))
        proxy.faults = Faults(on_nth(CREATE_RUN, 2, look))
        for _ in range(3):
            create_run(proxy.uri, experiment)
        assert seen == [1]
        assert count_runs(proxy.uri, experiment) == 3

    def test_after_the_nth_create_and_before_the_client_knows(
        self, proxy: Proxy, source_server: TrackingServerProcess, experiment: str
    ) -> None:
        answered: list[int] = []
        seen: list[tuple[int, int]] = []
        look = call_after(
            lambda: seen.append((count_runs(source_server.uri, experiment), len(answered)))
        )
        proxy.faults = Faults(on_nth(CREATE_RUN, 2, look))
        for _ in range(3):
            answered.append(create_run(proxy.uri, experiment).status_code)
        assert seen == [(2, 1)]
        assert answered == [200, 200, 200]

    def test_in_the_middle_of_an_upload(self, proxy: Proxy, experiment: str) -> None:
        sent, sent_then = 0, []

        def body() -> Iterator[bytes]:
            nonlocal sent
            for _ in range(64):
                yield bytes(MB)
                sent += MB

        fault = call_during(10 * MB + 1, lambda: sent_then.append(sent))
        proxy.faults = Faults(on_nth(UPLOAD, 1, fault))
        url = artifact(proxy.uri, f"{experiment}/file")
        requests.put(url, data=body(), timeout=30).raise_for_status()
        # Buffers of sockets are between the sender and the proxy, nothing else.
        assert 9 * MB <= sent_then[0] < 64 * MB
        assert len(requests.get(url, timeout=30).content) == 64 * MB

    def test_a_cut_upload_leaves_no_file(
        self, proxy: Proxy, source_server: TrackingServerProcess, experiment: str
    ) -> None:
        reached: list[bool] = []
        fault = cut_upload(4000, lambda: reached.append(True))
        proxy.faults = Faults(on_nth(UPLOAD, 1, fault))
        url = artifact(proxy.uri, f"{experiment}/file")
        with pytest.raises(requests.ConnectionError):
            requests.put(url, data=bytes(10_000), timeout=30)
        assert reached == [True]
        assert requests.get(url, timeout=30).status_code == 404

    def test_a_client_killed_by_a_callback_never_gets_its_answer(
        self, proxy: Proxy, source_server: TrackingServerProcess, experiment: str
    ) -> None:
        client = subprocess.Popen(
            [
                *(sys.executable, "-c"),
                "import sys, urllib.request as u\n"
                'body = (\'{"experiment_id": "%s"}\' % sys.argv[2]).encode()\n'
                "url = sys.argv[1] + '/api/2.0/mlflow/runs/create'\n"
                "head = {'Content-Type': 'application/json'}\n"
                "for _ in range(5): u.urlopen(u.Request(url, body, head))\n",
                *(proxy.uri, experiment),
            ],
            start_new_session=True,
        )
        kill = lose_response(lambda: os.killpg(client.pid, signal.SIGKILL))
        proxy.faults = Faults(on_nth(CREATE_RUN, 3, kill))
        assert client.wait(timeout=30) == -signal.SIGKILL
        assert count_runs(source_server.uri, experiment) == 3


class TestRules:
    def test_every_nth(self, proxy: Proxy) -> None:
        proxy.faults = Faults(every_nth(("GET", "/health"), 3, answer(500)))
        got = [requests.get(f"{proxy.uri}/health", timeout=30).status_code for _ in range(7)]
        assert got == [200, 200, 500, 200, 200, 500, 200]

    def test_a_random_share_is_repeatable(self, proxy: Proxy) -> None:
        def statuses() -> list[int]:
            proxy.faults = Faults(random_share(4, 0.4, [answer(500), answer(503)]))
            return [requests.get(f"{proxy.uri}/health", timeout=30).status_code for _ in range(40)]

        first = statuses()
        assert first == statuses()
        assert {200, 500, 503} == set(first)
        assert 5 < sum(status != 200 for status in first) < 30

    def test_the_first_rule_decides_and_all_rules_count(self, proxy: Proxy) -> None:
        health = ("GET", "/health")
        proxy.faults = Faults(on_nth(health, 1, answer(500)), on_nth(health, 2, answer(503)))
        got = [requests.get(f"{proxy.uri}/health", timeout=30).status_code for _ in range(3)]
        assert got == [500, 503, 200]

    def test_a_request_that_is_not_forwarded_needs_a_reply(self) -> None:
        with pytest.raises(ValueError, match="reply"):
            Fault(forward=False)


def test_a_large_artifact_passes_both_ways_in_bounded_memory(proxy: Proxy, experiment: str) -> None:
    block = os.urandom(MB)
    sent, received = hashlib.sha256(), hashlib.sha256()
    resident: list[int] = []

    def body() -> Iterator[bytes]:
        for number in range(256):
            if number % 16 == 0:
                resident.append(_resident_bytes())
            sent.update(block)
            yield block

    url = artifact(proxy.uri, f"{experiment}/large")
    requests.put(url, data=body(), timeout=120).raise_for_status()
    with requests.get(url, stream=True, timeout=120) as response:
        for number, part in enumerate(response.iter_content(MB)):
            if number % 16 == 0:
                resident.append(_resident_bytes())
            received.update(part)
    assert received.digest() == sent.digest()
    assert max(resident) - min(resident) < 32 * MB


def _resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("memory is measured on Linux only")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


class TestServers:
    @pytest.mark.thorough
    def test_a_killed_server_restarts_with_its_data(
        self, server_factory: ServerFactory, unique_name: str
    ) -> None:
        server = server_factory()
        uri = server.uri
        experiment = create_experiment(uri, unique_name)
        create_run(uri, experiment)
        requests.put(artifact(uri, f"{experiment}/file"), data=b"kept", timeout=30)

        server.kill()
        assert not server.running
        assert not is_listening(server.port)
        server.restart()

        assert server.uri == uri
        assert count_runs(uri, experiment) == 1
        assert requests.get(artifact(uri, f"{experiment}/file"), timeout=30).content == b"kept"
        server.stop()
        assert not is_listening(server.port)

    @pytest.mark.thorough
    def test_nothing_of_a_server_outlives_a_killed_parent(self, tmp_path: Path) -> None:
        parent = subprocess.Popen(
            [
                *(sys.executable, "-c"),
                "import sys; from pathlib import Path\n"
                "from migrate.demo.server import TrackingServerProcess\n"
                "TrackingServerProcess(directory=Path(sys.argv[1])).start()\n",
                tmp_path,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            # The database comes before the web server, whose command line names no directory.
            _wait_for((tmp_path / "mlflow.db").exists)
            assert _processes_naming(tmp_path) > 1
        finally:
            parent.kill()
            parent.wait()
        _wait_for(lambda: _processes_naming(tmp_path) == 0)

    def test_the_environment_of_the_tests_stays_outside(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "sqlite:///elsewhere.db")
        monkeypatch.setenv("MIGRATE_SOURCE", "http://elsewhere")
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        server = TrackingServerProcess(
            directory=tmp_path,
            python=_printing_python(tmp_path, "env"),
            environment={"MLFLOW_MINE": "1"},
        )
        with pytest.raises(ServerDidNotStart):
            server.start()
        seen = server.log.read_text()
        assert "MLFLOW_MINE=1" in seen
        assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in seen
        assert "MLFLOW_DISABLE_TELEMETRY=true" in seen
        for name in ("MLFLOW_BACKEND_STORE_URI", "MIGRATE_SOURCE", "PYTHONDONTWRITEBYTECODE"):
            assert name not in seen

    def test_the_options_reach_the_command(self, tmp_path: Path) -> None:
        server = TrackingServerProcess(
            directory=tmp_path,
            python=_printing_python(tmp_path, 'echo "$@"'),
            workers=3,
            backend_store_uri="postgresql://db",
            serve_artifacts=False,
            default_artifact_root="s3://bucket/root",
            app_name="basic-auth",
            port=5999,
        )
        with pytest.raises(ServerDidNotStart):
            server.start()
        assert server.log.read_text().split(" server ", 1)[1].split() == [
            *("--host", "127.0.0.1", "--port", "5999", "--workers", "3"),
            *("--backend-store-uri", "postgresql://db"),
            *("--no-serve-artifacts", "--default-artifact-root", "s3://bucket/root"),
            *("--app-name", "basic-auth"),
        ]

    def test_a_server_that_ends_is_an_error_with_the_end_of_its_log(self, tmp_path: Path) -> None:
        python = _printing_python(tmp_path, "echo no luck; exit 7")
        server = TrackingServerProcess(directory=tmp_path, python=python)
        for _ in range(2):
            with pytest.raises(ServerDidNotStart, match=r"exit code 7[^$]*  no luck") as raised:
                server.start()
            assert raised.value.message.count("no luck") == 1
            assert str(server.log) in raised.value.hint
            assert not server.running

    def test_a_taken_port_is_an_error_before_anything_starts(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            server = TrackingServerProcess(directory=tmp_path, port=taken.getsockname()[1])
            with pytest.raises(ServerDidNotStart, match="cannot be used"):
                server.start()
        assert not server.log.exists()

    def test_a_fresh_target_is_empty(
        self, fresh_target: TrackingServerProcess, unique_name: str
    ) -> None:
        _fill_an_empty_server(fresh_target.uri)

    def test_a_fresh_target_is_empty_again(
        self, fresh_target: TrackingServerProcess, unique_name: str
    ) -> None:
        _fill_an_empty_server(fresh_target.uri)


def _fill_an_empty_server(uri: str) -> None:
    found = post(uri, "experiments/search", {"max_results": 10, "view_type": "ALL"})
    assert [experiment["name"] for experiment in found["experiments"]] == ["Default"]
    listed = requests.get(artifact(uri, ""), timeout=30).json()
    assert listed.get("files", []) == []

    experiment = create_experiment(uri, "not empty any more")
    assert create_run(uri, experiment).status_code == 200
    assert count_runs(uri, experiment) == 1
    requests.put(artifact(uri, f"{experiment}/file"), data=b"x", timeout=30).raise_for_status()
    post(uri, "experiments/delete", {"experiment_id": "0"})


def _printing_python(directory: Path, command: str) -> Path:
    """An interpreter that runs a shell command instead of a server, and ends."""
    file = directory / "python"
    file.write_text(f"#!/bin/sh\n{command}\n")
    file.chmod(0o755)
    return file


def _processes_naming(directory: Path) -> int:
    listing = subprocess.run(
        ["ps", "-eww", "-o", "stat=", "-o", "args="], capture_output=True, text=True
    )
    return sum(
        str(directory) in line and not line.startswith("Z") for line in listing.stdout.splitlines()
    )


def _wait_for(condition: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)
