"""A run looks at what its search tells of complete copies anyway: tags that are gone are named."""

from __future__ import annotations

import json

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.cli.conftest import Typed
from tests.cli.test_unstorable import found_in
from tests.conftest import ProxyFactory
from tests.seed import Source

NOTE = "its copy has lost tag a, tag b since: migrate run --repair writes it again"


def test_tags_that_a_copy_has_lost_are_named_with_the_command_that_writes_them(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    unique_name: str,
) -> None:
    proxy = proxy_factory(target_server.uri)
    args = (source_server.uri, proxy.uri, "--experiments", unique_name)
    with Source(source_server.uri) as source:
        tags = {"a": "1", "b": "2", "c": "3"}
        source.params(source.run("r", source.experiment(unique_name), tags=tags), {"lr": "1"})
    assert json.loads(typed("run", *args, "--json").stdout)["warnings"] == []
    [copy] = found_in(target_server.uri, unique_name)
    with Source(target_server.uri) as target:
        ident = copy["info"]["run_id"]
        for key in ("a", "b"):
            target.post("runs/delete-tag", {"run_id": ident, "key": key})
        # What somebody changed on the copy is that person's own business.
        target.tags(ident, {"c": "changed", "mine": "x"})

    for quiet in ((), ("--quick",)):
        proxy.clear()
        report = json.loads(typed("run", *args, *quiet, "--json").stdout)
        assert proxy.writes() == []
        assert [it["warning"] for it in report["warnings"]] == ([] if quiet else [NOTE])
    repaired = json.loads(typed("run", *args, "--repair", "--json").stdout)
    assert repaired["warnings"] == []
    [copy] = found_in(target_server.uri, unique_name)
    assert {"key": "a", "value": "1"} in copy["data"]["tags"]
    assert json.loads(typed("run", *args, "--json").stdout)["warnings"] == []


@pytest.mark.thorough
def test_a_param_that_a_copy_has_lost_is_written_again(
    typed: Typed,
    source_server: TrackingServerProcess,
    target_server: TrackingServerProcess,
    unique_name: str,
) -> None:
    args = (source_server.uri, target_server.uri, "--experiments", unique_name)
    with Source(source_server.uri) as source:
        run = source.run("r", source.experiment(unique_name))
    typed("run", *args)
    with Source(source_server.uri) as source:
        source.params(run, {"late": "1"})
    typed("run", *args)
    [copy] = found_in(target_server.uri, unique_name)
    assert copy["data"]["params"] == [{"key": "late", "value": "1"}]
