"""The seeded source holds what it says: what the other tests copy is really there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from migrate.demo.server import TrackingServerProcess
from tests.comparison import Server
from tests.seed import (
    NOWHERE,
    START,
    Seeded,
    Source,
    make_broken,
    make_undeliverable,
    make_unlistable,
    put_behind_the_server,
    seed_everything,
)

# More than the comparison asks for in one page.
HISTORY_POINTS = 10_500


@pytest.fixture(scope="module")
def seeded(source_server: TrackingServerProcess) -> Seeded:
    return seed_everything(source_server.uri, prefix="seed: ", history_points=HISTORY_POINTS)


@pytest.fixture(scope="module")
def found(seeded: Seeded) -> dict[str, dict[str, Any]]:
    """Every seeded run as the server tells it, by its label."""
    with Server(seeded.uri) as server:
        runs = [run for e in seeded.experiments.values() for run in server.runs(e)]
    by_id = {run["info"]["run_id"]: run for run in runs}
    return {label: by_id[run_id] for label, run_id in seeded.runs.items()}


@pytest.fixture(scope="module")
def reader(seeded: Seeded) -> Iterator[Server]:
    with Server(seeded.uri) as server:
        yield server


class TestSeed:
    def test_experiments_keep_their_names_and_lifecycle(
        self, seeded: Seeded, reader: Server
    ) -> None:
        experiments = reader.experiments()
        stages = {label: experiments[n]["lifecycle_stage"] for label, n in seeded.names.items()}
        assert [label for label, stage in stages.items() if stage == "deleted"] == ["deleted"]
        assert "seed: /Users/me@example.com/exp" in experiments
        assert "seed:  spaces  all around " in experiments
        located = experiments[seeded.names["located"]]
        assert located["artifact_location"] == "mlflow-artifacts:/custom/seed: prefix"
        note, *_ = (t for t in experiments[seeded.names["tagged"]]["tags"] if "note" in t["key"])
        assert note["value"].startswith("# Churn\n")
        assert "tags" not in experiments[seeded.names["bare"]]

    @pytest.mark.parametrize(
        ("label", "status", "end"),
        [
            ("finished", "FINISHED", START + 61_000),
            ("failed", "FAILED", START + 1),
            ("killed", "KILLED", START),
            ("running", "RUNNING", None),
            ("scheduled", "SCHEDULED", None),
            ("finished-without-end", "FINISHED", None),
            ("running-with-end", "RUNNING", START + 61_000),
        ],
    )
    def test_runs_have_every_status(
        self, found: dict[str, Any], label: str, status: str, end: int | None
    ) -> None:
        info = found[label]["info"]
        assert (info["status"], info["start_time"], info.get("end_time")) == (status, START, end)

    def test_names_and_users_are_kept(self, found: dict[str, Any]) -> None:
        names = {label: run["info"]["run_name"] for label, run in found.items()}
        assert names["finished"] == "explicit name"
        assert names["renamed"] == "after"
        assert names["unicode-name"] == 'läuft gut 🏃 "x" / 50% # 3'
        assert found["finished"]["info"]["user_id"] == "Grace Hopper"
        nothing = found["nothing"]
        assert nothing["info"]["start_time"] == 0
        assert _mapping(nothing["data"]["tags"]).keys() == {"mlflow.runName"}

    def test_runs_are_deleted_in_every_way(self, found: dict[str, Any]) -> None:
        deleted = {k for k, run in found.items() if run["info"]["lifecycle_stage"] == "deleted"}
        assert deleted == {"deleted", "deleted-before", "deleted-with-it", "deleted-parent"}

    def test_params_reach_every_limit(self, found: dict[str, Any]) -> None:
        assert len(found["many-params"]["data"]["params"]) == 250
        long = _mapping(found["long-params"]["data"]["params"])
        assert (len(long["longest"]), len(long["emoji"])) == (6000, 6000)
        odd = _mapping(found["odd-params"]["data"]["params"])
        assert odd["empty"] == ""
        assert {"a/b", "a.b", "a-b", "a:b", "a b  c", "aéb", "a学b", "k" * 250} < odd.keys()

    def test_tags_reach_every_limit_and_pass_one(
        self, found: dict[str, Any], seeded: Seeded
    ) -> None:
        assert len(_mapping(found["long-tags"]["data"]["tags"])["longest"]) == 8000
        over_long = found["over-long-tag"]
        assert len(_mapping(over_long["data"]["tags"])["over-long"]) == 8500
        assert seeded.losses == {(over_long["info"]["run_id"], "tag over-long")}
        assert len(found["many-tags"]["data"]["tags"]) == 251
        history = _mapping(found["logged-a-model"]["data"]["tags"])["mlflow.log-model.history"]
        assert json.loads(history)[0]["run_id"] == seeded.runs["logged-a-model"]

    def test_metrics_hold_what_is_no_number(self, seeded: Seeded, reader: Server) -> None:
        run_id = seeded.runs["strange-metrics"]
        values = {value for value, _, _ in reader.history(run_id, "value")}
        # The database has no infinity: it keeps the greatest number there is.
        assert {"nan", "1.7976931348623157e+308", "-1.7976931348623157e+308", "5e-324"} < values
        assert reader.history(run_id, "only nan") == {("nan", START, 0): 1}
        assert len(reader.history(run_id, "same place")) == 4
        assert len(reader.history(run_id, "same value")) == 4
        assert reader.history(run_id, "epoch") == {("1.0", 0, 0): 1, ("2.0", 0, 1): 1}
        steps = {step for _, _, step in reader.history(run_id, "descent")}
        assert steps == {-5, -1, 0, 3, 2**40}

    def test_histories_are_long_and_many(
        self, seeded: Seeded, found: dict[str, Any], reader: Server
    ) -> None:
        points = reader.history(seeded.runs["long-history"], "loss")
        assert points.total() == len(points) == HISTORY_POINTS
        latest = found["many-metrics"]["data"]["metrics"]
        assert len(latest) == 60
        assert {metric["step"] for metric in latest} == {3}

    def test_dataset_inputs_are_shared(self, found: dict[str, Any]) -> None:
        training, test = (
            found[label]["inputs"]["dataset_inputs"][0]
            for label in ("trained-on-wine", "tested-on-wine")
        )
        assert training["dataset"] == test["dataset"]
        assert _mapping(training["tags"]) == {"mlflow.data.context": "training"}
        assert _mapping(test["tags"]) == {"mlflow.data.context": "test", "fold": "2"}
        several = [i["dataset"] for i in found["several-inputs"]["inputs"]["dataset_inputs"]]
        full = next(dataset for dataset in several if dataset["digest"] == "e5f6a7b8")
        assert json.loads(full["schema"])["mlflow_colspec"]
        assert json.loads(full["profile"])["num_rows"] == 1599

    def test_families_are_deep_and_broken(self, found: dict[str, Any], seeded: Seeded) -> None:
        parents = {
            label: _mapping(run["data"]["tags"]).get("mlflow.parentRunId")
            for label, run in found.items()
        }
        ids = seeded.runs
        assert parents["grandchild"] == ids["child"]
        assert parents["child"] == parents["second-child"] == ids["parent"]
        assert parents["child-of-elsewhere"] == ids["parent-elsewhere"]
        assert parents["child-of-deleted"] == ids["deleted-parent"]
        assert parents["orphan"] == NOWHERE
        assert found["grandchild"]["info"]["start_time"] < found["parent"]["info"]["start_time"]

    def test_artifacts_have_every_name_and_size(self, seeded: Seeded, reader: Server) -> None:
        files = reader.files(seeded.runs["artifacts"])
        assert files["5mb.bin"] == 5 * 1024 * 1024
        assert files["empty"] == 0
        names = {"one/two/three/deep.json", "größe/é.txt", "signs/100%.txt", "signs/a+b.txt"}
        assert names < files.keys()
        assert "signs/ spaces at the ends " in files
        assert len(reader.files(seeded.runs["crowded-folder"])) == 25
        assert reader.files(seeded.runs["deleted-with-it"]) == {"note.txt": 23}
        for label in ("artifacts", "unicode-artifact"):
            run_id = seeded.runs[label]
            for path in reader.files(run_id):
                assert reader.sha256(run_id, seeded.artifact_uris[run_id], path)


class TestBehindTheServer:
    """What no request can bring about: the server lists a file and does not deliver it."""

    @pytest.fixture
    def uri(self, source: Source, unique_name: str) -> str:
        run_id = source.run("behind", source.experiment(unique_name))
        source.artifact(run_id, "folder/file.txt", b"content")
        return source.seeded.artifact_uris[run_id]

    def test_a_hash_is_listed_and_refused(
        self, source_server: TrackingServerProcess, source: Source, uri: str
    ) -> None:
        put_behind_the_server(_artifacts(source_server), uri, "a#b.txt", b"content")
        assert _delivered(source, uri) == {"a#b.txt": (7, 400), "folder/file.txt": (7, 200)}

    def test_an_escaped_name_is_listed_and_not_found(
        self, source_server: TrackingServerProcess, source: Source, uri: str
    ) -> None:
        put_behind_the_server(_artifacts(source_server), uri, "pc%41.txt", b"content")
        assert _delivered(source, uri)["pc%41.txt"] == (7, 404)
        source.artifact(source.seeded.runs["behind"], "pc%41.txt", b"")
        assert _delivered(source, uri)["pcA.txt"] == (0, 200)

    def test_a_link_out_of_the_directory_is_listed_and_refused(
        self, source_server: TrackingServerProcess, source: Source, uri: str, tmp_path: Path
    ) -> None:
        file = put_behind_the_server(_artifacts(source_server), uri, "gone.bin", b"content")
        make_undeliverable(file, tmp_path / "gone.bin")
        assert _delivered(source, uri)["gone.bin"] == (7, 400)

    def test_a_broken_file_is_listed_and_an_error(
        self, source_server: TrackingServerProcess, source: Source, uri: str
    ) -> None:
        file = put_behind_the_server(_artifacts(source_server), uri, "broken.bin", b"content")
        make_broken(file)
        assert _delivered(source, uri)["broken.bin"] == (0, 500)

    def test_a_folder_cannot_be_listed(
        self, source_server: TrackingServerProcess, source: Source, uri: str
    ) -> None:
        file = put_behind_the_server(_artifacts(source_server), uri, "folder/more.txt", b"")
        make_unlistable(file.parent)
        with (
            Server(source.seeded.uri) as server,
            pytest.raises(requests.HTTPError, match="500 Server Error"),
        ):
            server.files(source.seeded.runs["behind"])


@pytest.fixture
def source(source_server: TrackingServerProcess) -> Iterator[Source]:
    with Source(source_server.uri) as source:
        yield source


def _artifacts(server: TrackingServerProcess) -> Path:
    return server.directory / "artifacts"


def _delivered(source: Source, artifact_uri: str) -> dict[str, tuple[int, int]]:
    """The size and the status of the delivery of every file of the run "behind"."""
    proxy = f"{source.seeded.uri}/api/2.0/mlflow-artifacts/artifacts"
    folder = artifact_uri.removeprefix("mlflow-artifacts:/")
    with Server(source.seeded.uri) as server:
        files = server.files(source.seeded.runs["behind"])
    return {
        path: (size, requests.get(f"{proxy}/{folder}/{quote(path)}").status_code)
        for path, size in files.items()
    }


def _mapping(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in pairs}
