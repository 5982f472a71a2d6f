"""What imported copies say of their originals, and files of versions in exports."""

from __future__ import annotations

from pathlib import Path

from migrate.demo.server import TrackingServerProcess
from tests.bulk.arrived import Arrived, tags_of
from tests.bulk.conftest import Bulk, one_of
from tests.bulk.worlds import IRIS
from tests.comparison_models import ModelServer
from tests.conftest import ProxyFactory
from tests.seed_models import ModelSource

EXIM = "mlflow_exim."


@one_of("import-all", "import-experiments")
def test_source_tags_say_what_the_originals_were(
    bulk: Bulk,
    wine_and_iris: Path,
    world: ModelSource,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    command: str,
) -> None:
    line = f"{command} --input-dir {wine_and_iris}"
    arrived = Arrived(fresh_target.uri)
    bulk(f"{line} --import-source-tags False", fresh_target.uri)
    assert not [key for key in tags_of(arrived.run("iris-1")["data"]) if key.startswith(EXIM)]

    proxy = proxy_factory(fresh_target.uri)
    for _ in range(2):
        proxy.clear()
        bulk(f"{line} --import-source-tags True", proxy.uri)
        tags = tags_of(arrived.run("iris-1")["data"])
        assert tags[f"{EXIM}run_info.run_id"] == world.seeded.runs["iris-1"]
        assert tags[f"{EXIM}run_info.user_id"] == "grace"
        assert tags[f"{EXIM}mlflow_tag.runName"] == "iris-1"
        with ModelServer(fresh_target.uri) as server:
            experiment = tags_of(server.experiments()[IRIS])
            version = server.version("sklearn-wine", 2)
        assert experiment[f"{EXIM}field.experiment_id"] == world.seeded.experiments["iris"]
        if command == "import-all":
            assert version is not None
            assert tags_of(version)[f"{EXIM}field.current_stage"] == "Production"
    assert not proxy.writes()
    assert "no difference" in bulk("migrate verify").stdout


@one_of("import-experiments", "import-models")
def test_the_user_at_the_source_becomes_the_user_that_mlflow_shows(
    bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess, command: str
) -> None:
    line = f"{command} --input-dir {wine_and_iris}"
    arrived = Arrived(fresh_target.uri)

    def users() -> dict[str, tuple[str, str | None]]:
        found = {name: arrived.run(name) for name in ("iris-1", "iris-2")}
        return {
            name: (run["info"]["user_id"], tags_of(run["data"]).get("mlflow.user"))
            for name, run in found.items()
        }

    bulk(f"{line} --use-src-user-id False", fresh_target.uri)
    assert users() == {"iris-1": ("grace", None), "iris-2": ("ada", "somebody else")}
    bulk(f"{line} --use-src-user-id", fresh_target.uri)
    assert users() == {"iris-1": ("grace", "grace"), "iris-2": ("ada", "ada")}
    assert "no difference" in bulk("migrate verify").stdout


@one_of("export-models --models sklearn-wine", "export-all")
def test_files_of_versions_are_exported_once_more_on_demand(
    bulk: Bulk, world: ModelSource, command: str
) -> None:
    # Of versions 2 and 3 the files are in no place that can be read.
    lost = bulk(f"{command} --output-dir out --export-version-model", world.seeded.uri, code=3)
    assert "files of the version" in lost.stdout
    files = bulk.directory / "out" / "models" / "sklearn-wine" / "version_models"
    assert (files / "1" / "weights.bin").read_bytes() == b"iris"
    bulk(f"{command} --output-dir less --export-version-model False", world.seeded.uri)
    assert not list((bulk.directory / "less").rglob("version_models"))


def test_exports_take_no_option_that_only_copies_on_servers_can_have(
    bulk: Bulk, world: ModelSource
) -> None:
    for option in ("--import-source-tags", "--use-src-user-id"):
        line = f"migrate run {world.seeded.uri} out {option}"
        assert option in bulk(line, code=2).stderr
        assert not (bulk.directory / "out").exists()
