"""What an import brought to a server, by code that shares nothing with ``migrate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.bulk.worlds import GIVEN_UP
from tests.comparison import ORIGIN, Server, differences
from tests.comparison_models import ModelServer, compare_models
from tests.seed_models import ModelSource


class Arrived:
    """A server that was imported into."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @property
    def runs(self) -> dict[str, set[str]]:
        """Name of every experiment -> names of its runs, deleted ones included."""
        with Server(self.uri) as server:
            return {
                name: {run["info"]["run_name"] for run in server.runs(row["experiment_id"])}
                for name, row in server.experiments().items()
            }

    @property
    def deleted(self) -> set[str]:
        """Names of the experiments and runs that are deleted."""
        with Server(self.uri) as server:
            experiments = server.experiments()
            runs = server.runs(*(row["experiment_id"] for row in experiments.values()))
        rows = [*experiments.values(), *(run["info"] for run in runs)]
        return {
            row.get("run_name", row.get("name", ""))
            for row in rows
            if row["lifecycle_stage"] == "deleted"
        }

    @property
    def versions(self) -> dict[str, list[int]]:
        """Name of every registered model -> numbers of its versions."""
        with ModelServer(self.uri) as server:
            found: dict[str, list[int]] = {n: [] for n in server.registered_models(prompts=False)}
            for row in server.versions(prompts=False):
                found[row["name"]].append(int(row["version"]))
        return {name: sorted(numbers) for name, numbers in found.items()}

    @property
    def copies(self) -> dict[str, str]:
        """Id of a run at the source -> id of its copy; raises where one has two."""
        found: dict[str, str] = {}
        with Server(self.uri) as server:
            for run in server.runs(*(e["experiment_id"] for e in server.experiments().values())):
                origin = tags_of(run["data"]).get(ORIGIN)
                assert origin is None or origin not in found, f"{origin} has two copies"
                if origin is not None:
                    found[origin] = run["info"]["run_id"]
        return found

    def run(self, name: str) -> dict[str, Any]:
        """The run of this name; there has to be one."""
        with Server(self.uri) as server:
            runs = server.runs(*(e["experiment_id"] for e in server.experiments().values()))
        (found,) = (run for run in runs if run["info"]["run_name"] == name)
        return found

    def differences(
        self,
        source: ModelSource,
        *,
        deleted: bool = False,
        models: bool = True,
        renamed: Mapping[str, str] | None = None,
    ) -> list[str]:
        """In which way this is no right copy of a whole source; without what is deleted there,
        unless it came along."""
        seeded = source.seeded
        left_out = ["iris-deleted", "given-up-1"]
        names = [name for name in seeded.names.values() if deleted or name != GIVEN_UP]
        found = differences(
            seeded.uri,
            self.uri,
            experiments=names,
            renamed=renamed,
            ignore_runs=[] if deleted else [seeded.runs[label] for label in left_out],
        )
        if models:
            found += compare_models(seeded.uri, self.uri, self.copies)
        return found


def tags_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a run's data, an experiment, a registered model or a version."""
    return {tag["key"]: tag["value"] for tag in record.get("tags", [])}
