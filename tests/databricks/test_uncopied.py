"""What a workspace has and is not copied: counted where Databricks publishes a list, else named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from migrate.endpoints import protocols
from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.tracking.stores.counted import OF_TRACES
from migrate.kinds import Kind
from tests.databricks.answers import Asked, Refusal
from tests.databricks.workspace import Workspace
from tests.seed import Source


@pytest.fixture
def source(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[protocols.Source]:
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    with closing(open_source(Address(uri="databricks", side="source", workers=4))) as opened:
        opened.capabilities()
        yield opened


@pytest.fixture
def experiment(workspace: Workspace, unique_name: str) -> str:
    with Source(workspace.upstream) as seed:
        return seed.experiment(f"/Shared/{unique_name}")


def test_webhooks_are_counted_where_the_whole_workspace_is_copied(
    source: protocols.Source, workspace: Workspace, experiment: str
) -> None:
    assert source.unsupported([experiment], whole_server=True) == {}
    workspace.webhooks = ["a", "b", "c"]
    assert source.unsupported([experiment], whole_server=True) == {Kind.WEBHOOK: 3}
    assert source.unsupported([experiment]) == {}
    assert source.unknown() == ()


def test_what_has_no_list_is_named_in_the_plan_and_counts_where_there_are_traces(
    source: protocols.Source, workspace: Workspace, experiment: str
) -> None:
    (note,) = source.capabilities().notes
    assert all(kind.plural in note for kind in OF_TRACES)
    with Source(workspace.upstream) as seed:
        seed.trace(experiment)
    assert source.unsupported([experiment]) == dict.fromkeys((Kind.TRACE, *OF_TRACES), -1)


@pytest.mark.parametrize(
    ("code", "known"), [("PERMISSION_DENIED", False), ("FEATURE_DISABLED", True)]
)
def test_webhooks_that_are_refused_are_not_known_unless_there_is_no_registry(
    source: protocols.Source, workspace: Workspace, experiment: str, code: str, known: bool
) -> None:
    def refuse(asked: Asked) -> None:
        if "registry-webhooks" in asked.path:
            raise Refusal(400 if known else 403, code, "no")

    workspace.refuse = refuse
    assert source.unsupported([experiment], whole_server=True) == {}
    assert ["webhooks" in text for text in source.unknown()] == ([] if known else [True])
