"""Writes the awkward things of years of tracking to a real server, over its raw REST API.

``seed_everything`` writes one of each; the ``seed_*`` functions write one family each, and
``Source`` is for a test that needs a run or two of its own. ``MlflowClient`` is not used: it
refuses or changes some of what is written here, and real servers hold all of it.

The functions at the end change files behind a server's back, for what no request can bring about.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import requests

#: When the seeded history begins, in ms since the epoch: 2021-03-04T05:06:07.089Z.
START = 1_614_834_367_089

#: A run id that no server has.
NOWHERE = "deadbeef" * 4

#: One metric value: (key, value, timestamp in ms, step). A value is a string where JSON has no
#: number for it: "NaN", "Infinity", "-Infinity".
Point = tuple[str, float | str, int, int]

_METRICS_A_CALL = 1000
_PARAMS_A_CALL = 100
_TAGS_A_CALL = 100


@dataclass(frozen=True)
class Capabilities:
    """What the server of one MLflow version takes."""

    version: tuple[int, ...]

    @property
    def param_length(self) -> int:
        """The longest param value it keeps, in characters."""
        return 6000 if self.version >= (2, 9) else 500

    @property
    def tag_length(self) -> int:
        """The longest run tag it keeps, in characters."""
        return 8000 if self.version >= (2, 22) else 5000

    @property
    def key_characters(self) -> str:
        """What param, metric and tag keys may hold besides letters and digits."""
        return "/.-_ :" if self.version >= (2, 22) else "/.-_ "

    @property
    def dataset_inputs(self) -> bool:
        """Whether runs have dataset inputs."""
        return self.version >= (2, 4)


@dataclass(frozen=True)
class Seeded:
    """What was written, by readable labels."""

    uri: str
    prefix: str
    capabilities: Capabilities
    #: Label -> experiment id.
    experiments: dict[str, str] = field(default_factory=dict)
    #: Label -> name of the experiment on the server, prefix included.
    names: dict[str, str] = field(default_factory=dict)
    #: Label -> run id.
    runs: dict[str, str] = field(default_factory=dict)
    #: Run id -> its artifact URI on the server.
    artifact_uris: dict[str, str] = field(default_factory=dict)
    #: What no target has to take, as (run id, what), in the words of ``comparison.differences``.
    losses: set[tuple[str, str]] = field(default_factory=set)


class Source:
    """A tracking server to write to. Every method is one request, or one for each full batch.

    Experiments and runs are known by a label of the test's own; ``seeded`` has their ids. Use it as
    a context manager. Every refusal of the server raises RuntimeError with the server's own words.
    """

    def __init__(self, uri: str, *, prefix: str = "") -> None:
        self._session = requests.Session()
        self._uri = uri.rstrip("/")
        self.seeded = Seeded(uri, prefix, self._capabilities())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def experiment(
        self,
        label: str,
        name: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        location: str | None = None,
    ) -> str:
        """Creates an experiment and returns its id; without a name, the label is its name."""
        name = self.seeded.prefix + (label if name is None else name)
        body: dict[str, Any] = {"name": name, "tags": _pairs(tags or {})}
        if location is not None:
            body["artifact_location"] = location
        experiment_id: str = self.post("experiments/create", body)["experiment_id"]
        self.seeded.experiments[label] = experiment_id
        self.seeded.names[label] = name
        return experiment_id

    def run(
        self,
        label: str,
        experiment_id: str,
        *,
        name: str | None = None,
        user: str | None = "ada",
        start: int | None = START,
        status: str | None = "FINISHED",
        end: int | None = START + 61_000,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Creates a run and returns its id; times are in ms.

        The run is named after its label, unless ``name`` says otherwise ("" leaves the name to the
        server). Without a ``status`` it stays as the server creates it, running and without end.
        """
        body: dict[str, Any] = {
            "experiment_id": experiment_id,
            "run_name": label if name is None else name,
            "user_id": user,
            "start_time": start,
            "tags": _pairs(tags or {}),
        }
        created = self.post("runs/create", {k: v for k, v in body.items() if v is not None})
        info = created["run"]["info"]
        run_id: str = info["run_id"]
        self.seeded.runs[label] = run_id
        self.seeded.artifact_uris[run_id] = info["artifact_uri"]
        if status is not None:
            self.update(run_id, status=status, end=end)
        return run_id

    def update(
        self, run_id: str, *, status: str, end: int | None = None, name: str | None = None
    ) -> None:
        """Sets the status of a run and, where given, its end (ms) and its name."""
        body = {"run_id": run_id, "status": status, "end_time": end, "run_name": name}
        self.post("runs/update", {k: v for k, v in body.items() if v is not None})

    def params(self, run_id: str, params: Mapping[str, str]) -> None:
        for batch in _batches(_pairs(params), _PARAMS_A_CALL):
            self.post("runs/log-batch", {"run_id": run_id, "params": batch})

    def tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        for batch in _batches(_pairs(tags), _TAGS_A_CALL):
            self.post("runs/log-batch", {"run_id": run_id, "tags": batch})

    def metrics(self, run_id: str, points: Iterable[Point]) -> None:
        names = ("key", "value", "timestamp", "step")
        rows = (dict(zip(names, point, strict=True)) for point in points)
        for batch in _batches(rows, _METRICS_A_CALL):
            self.post("runs/log-batch", {"run_id": run_id, "metrics": batch})

    def trace(self, experiment_id: str) -> None:
        """Makes a trace without spans."""
        where = {"experiment_id": experiment_id}
        info = {
            "trace_id": f"tr-{uuid.uuid4().hex}",
            "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": where},
            "request_time": "2024-01-01T00:00:00Z",
            "state": "OK",
        }
        self.post("../../3.0/mlflow/traces", {"trace": {"trace_info": info}})

    def inputs(self, run_id: str, *inputs: tuple[Mapping[str, str], Mapping[str, str]]) -> None:
        """Gives the run dataset inputs, each the fields of a dataset and the tags of the input."""
        datasets = [{"dataset": dict(dataset), "tags": _pairs(tags)} for dataset, tags in inputs]
        self.post("runs/log-inputs", {"run_id": run_id, "datasets": datasets})

    def artifact(self, run_id: str, path: str, content: bytes) -> None:
        """Puts one file through the server's artifact proxy."""
        folder = self.seeded.artifact_uris[run_id].removeprefix("mlflow-artifacts:/")
        path = quote(f"{folder}/{path}")
        url = f"{self._uri}/api/2.0/mlflow-artifacts/artifacts/{path}"
        _said(self._session.put(url, data=content, timeout=60))

    def delete_run(self, run_id: str) -> None:
        self.post("runs/delete", {"run_id": run_id})

    def restore_run(self, run_id: str) -> None:
        self.post("runs/restore", {"run_id": run_id})

    def delete_experiment(self, experiment_id: str) -> None:
        self.post("experiments/delete", {"experiment_id": experiment_id})

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Any other call of the REST API, ``path`` being what follows ``/api/2.0/mlflow/``."""
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As ``post``, by another method."""
        url = f"{self._uri}/api/2.0/mlflow/{path}"
        sent = self._session.request(method, url, json=body, timeout=60)
        answer: dict[str, Any] = _said(sent).json()
        return answer

    def _capabilities(self) -> Capabilities:
        answer = self._session.get(f"{self._uri}/version", timeout=60)
        # MLflow 1 does not tell its version.
        version = "1.30.1" if answer.status_code == 404 else _said(answer).text
        return Capabilities(tuple(int(part) for part in version.split(".")[:2]))


def seed_everything(
    uri: str, *, prefix: str = "", history_points: int = 30_000, over_long_tag: bool = True
) -> Seeded:
    """Writes one of everything that the server's version can hold.

    ``prefix`` begins the name of every experiment, so that one server can hold several of these;
    the run in the Default experiment is written each time. ``history_points`` is the length of the
    one long metric history (0 leaves it out): it takes most of the time. ``over_long_tag`` has to
    be False for a server on Postgres or MySQL.
    """
    with Source(uri, prefix=prefix) as source:
        seed_experiments(source)
        experiment = source.experiment("runs", tags={"mlflow.note.content": "All kinds of runs"})
        seed_statuses(source, experiment)
        seed_params(source, experiment)
        seed_tags(source, experiment)
        if over_long_tag:
            seed_over_long_tag(source, experiment)
        seed_metrics(source, experiment)
        seed_long_history(source, experiment, history_points)
        seed_inputs(source, experiment)
        seed_nested_runs(source)
        seed_artifacts(source, experiment)
        seed_deleted_experiment(source)
        return source.seeded


def seed_experiments(source: Source) -> None:
    """Experiments of all names, most with one small run, and a run in the Default experiment."""
    note = "# Churn\n\nWhat we *tried*, and why: https://example.com/?a=b&c=d"
    tagged = source.experiment(
        "tagged", tags={"mlflow.note.content": note, "team": "growth", "cost centre": "47 ü 日本"}
    )
    source.experiment("bare")
    names = {
        "spaces": " spaces  all around ",
        "unicode": "Größe – 実験 🧪",
        "slashes": "/Users/me@example.com/exp",
        "quotes": 'it\'s "quoted" `three` ways',
        "percent": "100% of %41 and %2F",
    }
    named = [(label, source.experiment(label, name)) for label, name in names.items()]
    location = f"mlflow-artifacts:/custom/{source.seeded.prefix}prefix"
    located = source.experiment("located", location=location)
    for label, experiment_id in [("tagged", tagged), *named, ("located", located)]:
        run_id = source.run(f"in-{label}", experiment_id, tags={"where": label})
        source.metrics(run_id, [("score", 0.5, START, 0)])
    source.artifact(source.seeded.runs["in-located"], "deep/er/file.txt", b"at a chosen place")
    source.seeded.experiments["default"] = "0"
    source.seeded.names["default"] = "Default"
    source.params(source.run("in-default", "0"), {"alpha": "0.1"})


def seed_statuses(source: Source, experiment_id: str) -> None:
    """A run of every status, name and lifecycle, and runs with nothing in them."""
    source.run("finished", experiment_id, name="explicit name", user="Grace Hopper")
    source.run("failed", experiment_id, status="FAILED", end=START + 1)
    source.run("killed", experiment_id, status="KILLED", end=START)
    source.run("running", experiment_id, status=None)
    source.run("scheduled", experiment_id, status="SCHEDULED", end=None)
    source.run("finished-without-end", experiment_id, end=None)
    source.run("running-with-end", experiment_id, status="RUNNING")
    source.run("unicode-name", experiment_id, name='läuft gut 🏃 "x" / 50% # 3')
    source.run("nothing", experiment_id, name="", user=None, start=None, status=None)

    renamed = source.run("renamed", experiment_id, name="before", status=None)
    source.update(renamed, status="FINISHED", end=START + 5, name="after")

    deleted = source.run("deleted", experiment_id, tags={"why": "by mistake"})
    source.params(deleted, {"depth": "3"})
    source.metrics(deleted, [("loss", 1 / step, START + step, step) for step in range(1, 4)])
    source.artifact(deleted, "kept/in-the-bin.txt", b"still readable")
    source.delete_run(deleted)


def seed_params(source: Source, experiment_id: str) -> None:
    """More params than one call takes, the longest, empty ones, and keys of all characters."""
    many = source.run("many-params", experiment_id)
    source.params(many, {f"p{n:03}": f"value {n}" for n in range(250)})
    long = source.run("long-params", experiment_id)
    length = source.seeded.capabilities.param_length
    source.params(long, {"longest": "x" * length, "emoji": "🦆" * length, "lines": "a\nb\tc\r\n "})
    odd = source.run("odd-params", experiment_id)
    source.params(odd, {"empty": "", "blank": " ", **_odd_keys(source), "k" * 250: "long key"})


def seed_tags(source: Source, experiment_id: str) -> None:
    """Notes, git, many tags, the longest, and the one that names the run it is on."""
    git = {
        "mlflow.source.name": "train/main.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        "mlflow.source.git.repoURL": "git@example.com:ml/churn.git",
        "mlflow.user": "ada",
        "mlflow.note.content": "**bold** claims\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    }
    source.run("git-tags", experiment_id, user="ada", tags=git)
    odd = source.run("odd-tags", experiment_id)
    source.tags(odd, {"empty": "", **_odd_keys(source)})
    many = source.run("many-tags", experiment_id, tags={f"at create {n}": "1" for n in range(120)})
    source.tags(many, {f"later {n:03}": str(n) for n in range(130)})
    long = source.run("long-tags", experiment_id)
    source.tags(long, {"longest": "t" * source.seeded.capabilities.tag_length})
    logged = source.run("logged-a-model", experiment_id)
    entry = {
        "run_id": logged,
        "artifact_path": "model",
        "utc_time_created": "2021-03-04 05:06:07.089000",
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn"}},
        "model_uuid": "5" * 32,
    }
    source.tags(logged, {"mlflow.log-model.history": json.dumps([entry])})


def seed_over_long_tag(source: Source, experiment_id: str) -> None:
    """A tag longer than any target need take: servers do not check the tags of a create call.

    Their databases may: Postgres and MySQL refuse this one, SQLite takes it.
    """
    run_id = source.run("over-long-tag", experiment_id, tags={"over-long": "o" * 8500})
    source.seeded.losses.add((run_id, "tag over-long"))


def seed_metrics(source: Source, experiment_id: str) -> None:
    """Values that are no numbers, points that differ in one field only, and many keys."""
    strange = source.run("strange-metrics", experiment_id)
    values: list[float | str] = [
        "NaN",
        "Infinity",
        "-Infinity",
        0.0,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        0.1,
        1e-9,
    ]
    points: list[Point] = [("value", value, START + n, n) for n, value in enumerate(values)]
    points += [("only nan", "NaN", START, 0), ("only inf", "-Infinity", START, 0)]
    points += [("descent", float(step), START - step, step) for step in (-5, -1, 0, 3, 2**40)]
    # One step and timestamp with several values, one of them NaN; one value at several of each.
    for value in (0.25, 0.5, "NaN", -1.0):
        points.append(("same place", value, START, 7))
    points += [("same value", 1.0, START + n % 2, n // 2) for n in range(4)]
    points += [("epoch", 1.0, 0, 0), ("epoch", 2.0, 0, 1)]
    source.metrics(strange, points)
    source.metrics(strange, [(key, 1.0, START, 0) for key in _odd_keys(source)])

    many = source.run("many-metrics", experiment_id)
    # The last step is logged first: the latest value is not the one that came last.
    keys = [f"layer/{n:02}/grad" for n in range(60)]
    source.metrics(many, [(key, 1 / (1 + s), START + s, s) for s in (3, 1, 2) for key in keys])


def seed_long_history(source: Source, experiment_id: str, points: int) -> None:
    """One metric of this many points: more than any page or bulk read holds at 30,000."""
    run_id = source.run("long-history", experiment_id)
    source.metrics(run_id, (("loss", 100 / (1 + n), START + 10 * n, n) for n in range(points)))


def seed_inputs(source: Source, experiment_id: str) -> None:
    """Dataset inputs: shared by two runs, several on one run, with all fields and with the least.

    Writes nothing on a server without them.
    """
    if not source.seeded.capabilities.dataset_inputs:
        return
    least = {"name": "wine", "digest": "a1b2c3d4", "source_type": "local", "source": "{}"}
    schema = {"mlflow_colspec": [{"name": "ph", "type": "double", "required": True}]}
    full = {
        "name": "wine – größer",
        "digest": "e5f6a7b8",
        "source_type": "s3",
        "source": json.dumps({"uri": "s3://bucket/wine.csv?version=1&x=%41"}),
        "schema": json.dumps(schema),
        "profile": json.dumps({"num_rows": 1599, "num_elements": 19188}),
    }
    training, test = {"mlflow.data.context": "training"}, {"mlflow.data.context": "test"}
    source.inputs(source.run("trained-on-wine", experiment_id), (least, training))
    source.inputs(source.run("tested-on-wine", experiment_id), (least, test | {"fold": "2"}))
    several = source.run("several-inputs", experiment_id)
    source.inputs(several, (full, training), (least | {"digest": "newer"}, test), (least, {}))


def seed_nested_runs(source: Source) -> None:
    """Families: three deep and made from the bottom up, across experiments, broken and orphaned."""
    here = source.experiment("families")
    there = source.experiment("parents-elsewhere")

    grandchild, child, parent = (
        source.run(label, here, start=START + n)
        for n, label in enumerate(("grandchild", "child", "parent"))
    )
    source.tags(grandchild, {"mlflow.parentRunId": child, "mlflow.rootRunId": parent})
    source.tags(child, {"mlflow.parentRunId": parent, "mlflow.rootRunId": parent})
    source.tags(parent, {"mlflow.rootRunId": parent})

    def born(label: str, to: str) -> None:
        tags = {"mlflow.parentRunId": to, "mlflow.rootRunId": to}
        source.run(label, here, start=START + 100, tags=tags)

    born("second-child", parent)
    born("child-of-elsewhere", source.run("parent-elsewhere", there))
    born("orphan", NOWHERE)
    deleted = source.run("deleted-parent", here)
    born("child-of-deleted", deleted)
    source.delete_run(deleted)


def seed_parent_cycle(source: Source, experiment_id: str) -> None:
    """Two runs that are each other's parent, and one that is its own: only by a bug, but seen.

    Not part of ``seed_everything``.
    """
    left, right = source.run("left", experiment_id), source.run("right", experiment_id)
    source.tags(left, {"mlflow.parentRunId": right})
    source.tags(right, {"mlflow.parentRunId": left})
    own = source.run("own-parent", experiment_id)
    source.tags(own, {"mlflow.parentRunId": own})


def seed_artifacts(source: Source, experiment_id: str) -> None:
    """Files of all sizes and of every kind of name that the artifact proxy keeps."""
    run_id = source.run("artifacts", experiment_id)
    files = {
        "top.txt": b"at the top",
        "empty": b"",
        "one/two/three/deep.json": b'{"deep": true}',
        "one/beside.txt": b"beside a folder",
        "5mb.bin": random.Random(7).randbytes(5 * 1024 * 1024),
        "größe/é.txt": "ünïcödé".encode(),
        "with spaces/a b  c.txt": b"spaces",
        "signs/a+b.txt": b"plus",
        "signs/100%.txt": b"percent",
        'signs/it\'s "q".txt': b"quotes",
        "signs/a;b&c=d,e@f!.txt": b"signs",
        "signs/[1] {2} (3) ~.txt": b"brackets",
        "signs/.hidden": b"dot",
        "signs/ spaces at the ends ": b"spaces",
        "signs/why?a=b.txt": b"question",
    }
    for path, content in files.items():
        source.artifact(run_id, path, content)
    # Servers up to 3.8 at least cannot deliver this one through the proxy: the name goes into a
    # header in Latin-1. Their page ``/get-artifact`` does deliver it.
    source.artifact(source.run("unicode-artifact", experiment_id), "日本 🦆.txt", b"unicode")
    crowded = source.run("crowded-folder", experiment_id)
    for n in range(25):
        source.artifact(crowded, f"checkpoints/{n:03}.ckpt", b"%d" % n)


def seed_deleted_experiment(source: Source) -> None:
    """A deleted experiment with a run that went with it, one deleted before, and one restored."""
    experiment_id = source.experiment("deleted", tags={"mlflow.note.content": "given up"})
    source.delete_run(source.run("deleted-before", experiment_id))
    with_it = source.run("deleted-with-it", experiment_id)
    source.params(with_it, {"lr": "1e-3"})
    source.artifact(with_it, "note.txt", b"in a deleted experiment")
    restored = source.run("restored", experiment_id)
    source.metrics(restored, [("auc", 0.9, START, 0)])
    source.delete_experiment(experiment_id)
    source.restore_run(restored)


def put_behind_the_server(directory: Path, artifact_uri: str, path: str, content: bytes) -> Path:
    """Writes an artifact straight into the artifact directory of a server and returns the file.

    This is the way to names that the proxy refuses (``a#b.txt``: the server lists it and answers
    400 to who asks for it) or changes (``pc%41.txt``: put as ``pcA.txt``; written here it is
    listed, and asking for it gives 404, or ``pcA.txt`` where there is one).
    """
    file = directory / artifact_uri.removeprefix("mlflow-artifacts:/") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def make_undeliverable(file: Path, elsewhere: Path) -> None:
    """Moves a file out of the artifact directory and leaves a link.

    The server goes on listing it with its size and answers 400 to who asks for it (3.8: 500; up to
    3.1 it follows the link: there, use ``make_broken``).
    """
    shutil.move(file, elsewhere)
    file.symlink_to(elsewhere)


def make_broken(file: Path) -> None:
    """Puts a socket in the place of a file: listed without size, and asking for it gives 500."""
    file.unlink()
    os.mknod(file, stat.S_IFSOCK | 0o600)


def make_unlistable(folder: Path) -> None:
    """Adds a dangling link to a folder: the server answers 500 to who lists it."""
    (folder / "dangling").symlink_to(folder / "nothing here")


def _odd_keys(source: Source) -> dict[str, str]:
    return {
        f"a{sign}b" if sign != " " else "a b  c": f"key with {sign!r}"
        for sign in source.seeded.capabilities.key_characters + "é学"
    }


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _batches(rows: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


def _said(answer: requests.Response) -> requests.Response:
    if answer.status_code != 200:
        request = f"{answer.request.method} {answer.url}"
        raise RuntimeError(f"{request}: {answer.status_code} {answer.text[:500]}")
    return answer
