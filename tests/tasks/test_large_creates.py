"""What has more tags than one request has room for is created with few; the rest follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.directory import ExportDirectory
from tests.conftest import ProxyFactory
from tests.endpoints.exports import a_registered_model, a_version, an_experiment, write_registry
from tests.faults import ANY, Faults, always, change_request
from tests.malformed.worlds import migrate

MANY = {f"many {n}": "x" * 4_900 for n in range(150)}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["experiment", "registered model", "version"])
def test_no_create_is_larger_than_a_gateway_lets_through_and_no_tag_is_missing(
    kind: str,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    def tags(of: str) -> dict[str, str]:
        return MANY if of == kind else {}

    export = ExportDirectory(tmp_path / "export", writable=True)
    export.experiments.create(an_experiment(tags=tags("experiment")))
    held = a_registered_model(tags=tags("registered model"))
    place = {"source": "s3://bucket/model", "run_id": "", "model_id": ""}
    version = a_version(1, tags=tags("version"), **place)
    write_registry(export, held, [version])
    export.publish()
    export.close()

    sizes = []

    def watch(body: bytes) -> bytes:
        sizes.append(len(body))
        return body

    proxy = proxy_factory(fresh_target.uri)
    proxy.faults = Faults(always(ANY, change_request(watch)))
    state = tmp_path / "state.db"
    ended = migrate("run", tmp_path / "export", proxy.uri, "--state", state)
    assert ended.code == 0, ended.output
    assert max(sizes) < 720_000
    ended = migrate("verify", tmp_path / "export", proxy.uri)
    assert ended.code == 0, ended.output
