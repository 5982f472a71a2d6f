"""Two sources with names in common, one target: what is the other's is left alone, and told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.comparison import Server
from tests.comparison_models import ModelServer
from tests.conftest import ProxyFactory, RunMigrate, ServerFactory
from tests.crash.samples import add_run
from tests.proxy import Proxy
from tests.seed_models import ModelSource


@pytest.fixture(scope="module")
def other_server(server_factory: ServerFactory) -> TrackingServerProcess:
    return server_factory()


@pytest.fixture
def sources(
    source_server: TrackingServerProcess, other_server: TrackingServerProcess, unique_name: str
) -> Iterator[tuple[ModelSource, ModelSource]]:
    with (
        ModelSource(source_server.uri, prefix=f"{unique_name}-") as one,
        ModelSource(other_server.uri, prefix=f"{unique_name}-") as two,
    ):
        yield one, two


class Copying:
    """Copies each of two sources in turn, with a state database each, and tells what came of it."""

    def __init__(
        self, run_migrate: RunMigrate, target: Proxy, sources: tuple[ModelSource, ModelSource]
    ) -> None:
        self._run = run_migrate
        self.target = target
        self._sources = sources

    def _selected(self, number: int) -> tuple[str, ...]:
        prefix = f"{self._sources[number].seeded.prefix}*"
        chosen = ["--experiments", prefix]
        if self._sources[number].seeded.registered or self._sources[number].seeded.prompts:
            chosen += ["--models", prefix]
        return (self._sources[number].seeded.uri, self.target.uri, *chosen)

    def copy(self, number: int, *options: str) -> tuple[int, list[str]]:
        """Returns the exit code, and what was lost of what."""
        args = ("--state", f"{number}.db", "--json", *options)
        ended = self._run("run", *self._selected(number), *args)
        assert ended.returncode in (0, 3), ended
        return ended.returncode, losses_of(ended)

    def verify(self, number: int) -> tuple[int, str]:
        ended = self._run("verify", *self._selected(number))
        return ended.returncode, ended.stdout


def losses_of(ended: subprocess.CompletedProcess[str]) -> list[str]:
    found: list[dict[str, Any]] = json.loads(ended.stdout)["losses"]
    return sorted(loss["what"] for loss in found)


@pytest.fixture
def copying(
    run_migrate: RunMigrate,
    proxy_factory: ProxyFactory,
    fresh_target: TrackingServerProcess,
    sources: tuple[ModelSource, ModelSource],
) -> Copying:
    return Copying(run_migrate, proxy_factory(fresh_target.uri), sources)


@pytest.mark.thorough
def test_an_alias_that_both_give_stays_with_the_first_and_runs_come_to_rest(
    sources: tuple[ModelSource, ModelSource], copying: Copying
) -> None:
    for source, alias in zip(sources, ("best", "best"), strict=True):
        run_id = add_run(source, "a", source.experiment(f"of-{source.seeded.uri[-5:]}"))
        name = source.registered("M", description=f"of {source.seeded.uri}", tags={"team": "a"})
        source.version(name, f"runs:/{run_id}/model", run_id=run_id)
        source.version(name, f"runs:/{run_id}/other", run_id=run_id)
        source.stage(name, 2, "Production")
        source.alias(name, alias, 2)
    one = sources[0]
    name = one.seeded.registered["M"]
    assert copying.copy(0) == (0, [])
    code, lost = copying.copy(1)
    assert (code, lost) == (3, ["alias best", "description"])
    copying.target.clear()
    for number in (0, 1, 0, 1):
        assert copying.copy(number) == ((0, []) if number == 0 else (code, lost))
    assert copying.target.writes() == []
    for number in (0, 1):
        assert copying.verify(number)[0] == 0, copying.verify(number)
    with ModelServer(copying.target.upstream.geturl()) as server:
        model = server.registered_models(prompts=False)[name]
        assert {it["alias"]: it["version"] for it in model["aliases"]} == {"best": "2"}
        assert len([it for it in server.versions(prompts=False) if it["name"] == name]) == 4
    # What is its own follows all the same: also where the version it left is gone.
    one.alias(name, "best", 1)
    one.delete_version(name, 2)
    assert copying.copy(0)[0] == 0
    with ModelServer(copying.target.upstream.geturl()) as server:
        model = server.registered_models(prompts=False)[name]
        assert {it["alias"]: it["version"] for it in model["aliases"]} == {"best": "1"}


@pytest.mark.thorough
def test_an_alias_of_a_prompt_that_both_give_stays_with_the_first(
    sources: tuple[ModelSource, ModelSource], copying: Copying
) -> None:
    for source in sources:
        add_run(source, "a", source.experiment(f"of-{source.seeded.uri[-5:]}"))
        is_prompt = {"mlflow.prompt.is_prompt": "true"}
        name = source.registered("P", tags={**is_prompt, "by": source.seeded.uri})
        text = {**is_prompt, "mlflow.prompt.text": f"Say {source.seeded.uri}"}
        source.version(name, "dummy-source", tags=text)
        source.alias(name, "production", 1)
    assert copying.copy(0) == (0, [])
    code, lost = copying.copy(1)
    assert (code, lost) == (3, ["alias production", "tag by"])
    copying.target.clear()
    for number in (0, 1):
        copying.copy(number)
    assert copying.target.writes() == []


@pytest.mark.thorough
def test_tags_of_an_experiment_that_both_have_stay_with_the_first(
    sources: tuple[ModelSource, ModelSource], copying: Copying
) -> None:
    for number, source in enumerate(sources):
        tags = {"team": f"team {number}", f"only-{number}": "yes"}
        add_run(source, "a", source.experiment("shared", tags=tags))
    assert copying.copy(0) == (0, [])
    assert copying.copy(1) == (3, ["tag team"])
    copying.target.clear()
    assert [copying.copy(number)[0] for number in (0, 1, 0, 1)] == [0, 3, 0, 3]
    assert copying.target.writes() == []
    with Server(copying.target.upstream.geturl()) as server:
        (shared,) = [it for name, it in server.experiments().items() if name.endswith("shared")]
        tags = {it["key"]: it["value"] for it in shared["tags"]}
        assert len(server.runs(shared["experiment_id"])) == 2
    assert {k: v for k, v in tags.items() if not k.startswith("mlflow")} == {
        "team": "team 0",
        "only-0": "yes",
        "only-1": "yes",
    }


@pytest.mark.thorough
def test_an_experiment_deleted_at_one_source_stays_while_it_holds_runs_of_the_other(
    sources: tuple[ModelSource, ModelSource], copying: Copying
) -> None:
    for source in sources:
        add_run(source, "a", source.experiment("shared"))
    assert [copying.copy(number) for number in (0, 1)] == [(0, []), (0, [])]
    sources[0].delete_experiment(sources[0].seeded.experiments["shared"])
    for number, ended in ((0, (3, ["deletion"])), (1, (0, [])), (0, (3, ["deletion"]))):
        assert copying.copy(number, "--include-deleted") == ended
    with Server(copying.target.upstream.geturl()) as server:
        (shared,) = [it for name, it in server.experiments().items() if name.endswith("shared")]
        assert shared["lifecycle_stage"] == "active"
