"""Compares two tracking servers in full, and says in plain words where the copy is not right.

Nothing here comes from ``migrate``: a mistake in how the tool reads or writes cannot hide in how
it is checked. Both servers are read over their raw REST API, every point of every metric and
every byte of every artifact included.

What a right copy is:

- An experiment is known by its name, a run by its tag ``mlflow-migrate.origin``, the id of the
  source's run; each run has exactly one copy. Other tags ``mlflow-migrate.*`` are bookkeeping.
- Everything is equal but ids, artifact locations, and the times of experiments, which no request
  can set.
- A reference to a run (``mlflow.parentRunId``, ``mlflow.rootRunId``, ``mlflow.log-model.history``)
  names the copy of that run. A parent or root without a copy is not referred to; its id is kept
  in ``mlflow-migrate.source.parentRunId`` or ``.rootRunId``.
- The target's experiments hold no runs that the source does not have.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

BOOKKEEPING = "mlflow-migrate."
ORIGIN = "mlflow-migrate.origin"
PARENTS = {
    "mlflow.parentRunId": "mlflow-migrate.source.parentRunId",
    "mlflow.rootRunId": "mlflow-migrate.source.rootRunId",
}
LOGGED_MODELS = "mlflow.log-model.history"
PROXIED = "mlflow-artifacts:"

#: (value, timestamp in ms, step); the value is written out, as NaN is not equal to itself.
Point = tuple[str, int, int]

_THREADS = 4


class Server:
    """Reads a tracking server. Credentials go into the URI, a workspace into the headers.

    Methods raise requests.HTTPError when the server refuses.
    """

    def __init__(self, uri: str, headers: Mapping[str, str] | None = None) -> None:
        self._uri = uri.rstrip("/")
        # Nothing here writes, so that every request may be sent again.
        retry = Retry(2, backoff_factor=0.2, status_forcelist=[502, 503], allowed_methods=None)
        self._session = requests.Session()
        self._session.headers.update(headers or {})
        self._session.mount("http", HTTPAdapter(max_retries=retry, pool_maxsize=_THREADS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def experiments(self) -> dict[str, dict[str, Any]]:
        """All experiments by name, the deleted ones included."""
        query = {"view_type": "ALL", "order_by": ["experiment_id ASC"], "max_results": 1000}
        found = self._pages("POST", "experiments/search", "experiments", query)
        return {experiment["name"]: experiment for experiment in found}

    def runs(self, *experiment_ids: str) -> list[dict[str, Any]]:
        """All runs of these experiments, the deleted ones included."""
        query = {
            "experiment_ids": list(experiment_ids),
            "run_view_type": "ALL",
            "order_by": ["attributes.start_time ASC"],
            "max_results": 500,
        }
        return list(self._pages("POST", "runs/search", "runs", query))

    def history(self, run_id: str, key: str) -> Counter[Point]:
        """Every point of one metric, counted: a point stored twice is there twice."""
        query = {"run_id": run_id, "metric_key": key, "max_results": 10_000}
        points = self._pages("GET", "metrics/get-history", "metrics", query)
        # Adding 0.0 makes -0.0 into 0.0: some databases keep the sign and some do not.
        return Counter(
            (repr(float(p["value"]) + 0.0), int(p.get("timestamp", 0)), int(p.get("step", 0)))
            for p in points
        )

    def files(self, run_id: str) -> dict[str, int]:
        """The path and size in bytes of every artifact of a run."""
        found: dict[str, int] = {}
        folders = [""]
        while folders:
            query = {"run_id": run_id, "path": folders.pop()}
            listing = self._pages("GET", "artifacts/list", "files", query)
            for file in listing:
                if file.get("is_dir"):
                    folders.append(file["path"])
                else:
                    # An empty file has no size in the answer.
                    found[file["path"]] = int(file.get("file_size", 0))
        return found

    def sha256(self, run_id: str, artifact_uri: str, path: str) -> str:
        """The digest of what the server delivers for an artifact of a run."""
        page = requests.Request("GET", f"{self._uri}/get-artifact")
        page.params = {"run_uuid": run_id, "path": path}
        if not artifact_uri.startswith(PROXIED):
            return self._digest(page)
        name = quote(f"{artifact_uri.removeprefix(PROXIED).strip('/')}/{path}")
        proxy = requests.Request("GET", f"{self._uri}/api/2.0/mlflow-artifacts/artifacts/{name}")
        # Each way delivers some names that the other does not: the proxy of older versions only
        # those in Latin-1, the page of newer ones none that begin with a space.
        try:
            return self._digest(proxy)
        except requests.RequestException:
            return self._digest(page)

    def _digest(self, request: requests.Request) -> str:
        digest = hashlib.sha256()
        prepared = self._session.prepare_request(request)
        with self._session.send(prepared, stream=True, timeout=60) as answer:
            answer.raise_for_status()
            for block in answer.iter_content(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def _pages(
        self, method: str, path: str, rows: str, query: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        url, token = f"{self._uri}/api/2.0/mlflow/{path}", ""
        while True:
            asked = {**query, "page_token": token} if token else query
            sent = {"json": asked} if method == "POST" else {"params": asked}
            answer = self._session.request(method, url, timeout=60, **sent)  # type: ignore[arg-type]
            answer.raise_for_status()
            page = answer.json()
            yield from page.get(rows, [])
            token = page.get("next_page_token", "")
            if not token:
                return


@dataclass(frozen=True)
class _Run:
    run_id: str
    experiment: str
    info: dict[str, Any]
    params: dict[str, str]
    metric_keys: set[str]
    all_tags: dict[str, str]
    inputs: Counter[str]

    @property
    def tags(self) -> dict[str, str]:
        return {k: v for k, v in self.all_tags.items() if not k.startswith(BOOKKEEPING)}

    @classmethod
    def of(cls, answer: dict[str, Any], experiment: str) -> Self:
        info, data = answer["info"], answer.get("data", {})
        return cls(
            run_id=info["run_id"],
            experiment=experiment,
            info=info,
            params=_mapping(data.get("params", [])),
            metric_keys={metric["key"] for metric in data.get("metrics", [])},
            all_tags=_mapping(data.get("tags", [])),
            inputs=_inputs(answer.get("inputs", {})),
        )


#: What differs (of which part of an object), and how it reads.
_Difference = tuple[str, str]


def copies_of_runs(source: str, target: str) -> dict[str, str]:
    """Id of a run at the source -> id of its copy, as the copies' tags say; each is copied once."""
    copies: dict[str, str] = {}
    with Server(target) as server:
        for run in server.runs(*(e["experiment_id"] for e in server.experiments().values())):
            for tag in run["data"].get("tags", []):
                if tag["key"] == ORIGIN:
                    assert tag["value"] not in copies
                    copies[tag["value"]] = run["info"]["run_id"]
    with Server(source) as server:
        runs = server.runs(*(e["experiment_id"] for e in server.experiments().values()))
        assert copies.keys() == {run["info"]["run_id"] for run in runs}
    return copies


def differences(
    source: str | Server,
    target: str | Server,
    *,
    experiments: Collection[str] | None = None,
    renamed: Mapping[str, str] | None = None,
    expected_losses: Collection[tuple[str, str]] = (),
    ignore_runs: Collection[str] = (),
    present_before: Collection[str] = (),
    artifacts: bool = True,
    artifact_locations: bool = False,
) -> list[str]:
    """Every way in which the target is not a right copy of the source; none when it is.

    - ``experiments``: names at the source; without it, all are compared.
    - ``renamed``: name at the source -> name at the target.
    - ``expected_losses``: (id of a run or of an experiment at the source, what), for what need not
      have arrived. What: "tag KEY", "param KEY", "metric KEY", "input NAME", "artifact PATH",
      "artifacts" where they cannot be listed, or the name of a field such as "end_time".
    - ``ignore_runs``: ids of runs at the source that need no copy. One they have is still compared.
    - ``present_before``: ids of runs at the target that were there before anything was copied.
    - ``artifacts``: whether artifacts are listed and read.
    - ``artifact_locations``: whether the experiments' artifact locations must be equal.

    Raises requests.RequestException when a server cannot be read at all; an artifact that cannot
    be read is a difference.
    """
    with _opened(source) as read_source, _opened(target) as read_target:
        comparison = _Comparison(
            source=read_source,
            target=read_target,
            renamed=renamed or {},
            losses=expected_losses,
            ignored=ignore_runs,
            present_before=present_before,
            artifacts=artifacts,
            artifact_locations=artifact_locations,
        )
        return comparison.run(experiments)


@dataclass(kw_only=True)
class _Comparison:
    source: Server
    target: Server
    renamed: Mapping[str, str]
    losses: Collection[tuple[str, str]]
    ignored: Collection[str]
    present_before: Collection[str]
    artifacts: bool
    artifact_locations: bool
    #: Run id at the source -> its copies.
    copies: dict[str, list[_Run]] = field(default_factory=dict)

    def run(self, names: Collection[str] | None) -> list[str]:
        at_source, at_target = self.source.experiments(), self.target.experiments()
        names = list(at_source) if names is None else names
        wanted = {name: at_source[name] for name in names if name in at_source}
        found = [[f"source has no experiment {name!r}" for name in names if name not in wanted]]

        source_runs = _runs(self.source, wanted)
        # A second copy may be anywhere.
        target_runs = _runs(self.target, at_target)
        for run in chain.from_iterable(target_runs.values()):
            if ORIGIN in run.all_tags:
                self.copies.setdefault(run.all_tags[ORIGIN], []).append(run)

        with ThreadPoolExecutor(_THREADS) as threads:
            for name, experiment in wanted.items():
                new_name = self.renamed.get(name, name)
                if new_name not in at_target:
                    found.append([f"experiment {name!r} is not on the target"])
                    continue
                found.append(self._experiment(experiment, at_target[new_name]))
                found.extend(threads.map(self._run, source_runs[name]))
                found.append(self._unknown(source_runs[name], target_runs[new_name]))
        return list(chain.from_iterable(found))

    def _experiment(self, source: dict[str, Any], target: dict[str, Any]) -> list[str]:
        fields = ["lifecycle_stage"]
        if self.artifact_locations:
            fields.append("artifact_location")
        own_tags, tags = (
            {k: v for k, v in _mapping(e.get("tags", [])).items() if not k.startswith(BOOKKEEPING)}
            for e in (source, target)
        )
        found = [*_fields(fields, source, target), *_values("tag", own_tags, tags)]
        return self._told(source["experiment_id"], f"experiment {source['name']!r}", found)

    def _run(self, source: _Run) -> list[str]:
        title = f"run {source.info.get('run_name', '')!r} {source.run_id}"
        copies = self.copies.get(source.run_id, [])
        if not copies:
            return [] if source.run_id in self.ignored else [f"{title}: has no copy"]
        found: list[_Difference] = []
        if len(copies) > 1:
            ids = ", ".join(copy.run_id for copy in copies)
            found.append(("copies", f"{len(copies)} copies of it: {ids}"))
        name = self.renamed.get(source.experiment, source.experiment)
        copy = min(copies, key=lambda run: run.experiment != name)
        if copy.experiment != name:
            found.append(("experiment", f"is in {copy.experiment!r} instead of {name!r}"))
        fields = ("run_name", "user_id", "status", "start_time", "end_time", "lifecycle_stage")
        found += _fields(fields, source.info, copy.info)
        found += _values("param", source.params, copy.params)
        found += self._tags(source, copy)
        found += _inputs_apart(source.inputs, copy.inputs)
        found += self._metrics(source, copy)
        if self.artifacts:
            found += self._artifacts(source, copy)
        return self._told(source.run_id, f"{title} -> {copy.run_id}", found)

    def _tags(self, source: _Run, copy: _Run) -> list[_Difference]:
        expected, tags = dict(source.tags), dict(copy.tags)
        for key, kept_in in PARENTS.items():
            parent = expected.get(key)
            if parent is None:
                continue
            copies = [run.run_id for run in self.copies.get(parent, [])]
            if copies:
                # With two copies either will do: that there are two is told where they are.
                expected[key] = tags[key] if tags.get(key) in copies else copies[0]
            else:
                # Bookkeeping is left out of the tags compared, but this one is a promise.
                del expected[key]
                expected[kept_in] = parent
                tags.update((k, v) for k, v in copy.all_tags.items() if k == kept_in)
        if LOGGED_MODELS in expected and LOGGED_MODELS in tags:
            expected[LOGGED_MODELS] = self._logged_models(expected[LOGGED_MODELS], source, copy)
            tags[LOGGED_MODELS] = _canonical(tags[LOGGED_MODELS])
        return _values("tag", expected, tags)

    def _logged_models(self, history: str, source: _Run, copy: _Run) -> str:
        try:
            entries = json.loads(history)
        except ValueError:
            return history
        for entry in entries if isinstance(entries, list) else []:
            run_id = entry.get("run_id") if isinstance(entry, dict) else None
            if copies := [copy] if run_id == source.run_id else self.copies.get(run_id or ""):
                entry["run_id"] = copies[0].run_id
        return json.dumps(entries, sort_keys=True)

    def _metrics(self, source: _Run, copy: _Run) -> Iterator[_Difference]:
        for key in sorted(source.metric_keys | copy.metric_keys):
            if key not in copy.metric_keys:
                yield f"metric {key}", "is missing"
            elif key not in source.metric_keys:
                yield f"metric {key}", "is not at the source"
            else:
                points = self.source.history(source.run_id, key)
                copied = self.target.history(copy.run_id, key)
                yield from _points_apart(key, points, copied)

    def _artifacts(self, source: _Run, copy: _Run) -> Iterator[_Difference]:
        try:
            files = self.source.files(source.run_id)
            copied = self.target.files(copy.run_id)
        except requests.RequestException as error:
            yield "artifacts", f"cannot be listed: {error}"
            return
        for path in sorted(files.keys() | copied.keys()):
            what = f"artifact {path}"
            if path not in copied:
                yield what, "is missing"
            elif path not in files:
                yield what, "is not at the source"
            elif files[path] != copied[path]:
                yield what, f"{files[path]} bytes became {copied[path]}"
            elif words := self._contents_apart(source, copy, path):
                yield what, words

    def _contents_apart(self, source: _Run, copy: _Run, path: str) -> str | None:
        try:
            at_source = self.source.sha256(source.run_id, source.info["artifact_uri"], path)
            at_target = self.target.sha256(copy.run_id, copy.info["artifact_uri"], path)
        except requests.RequestException as error:
            return f"cannot be read: {error}"
        return None if at_source == at_target else "has other contents"

    def _unknown(self, source: list[_Run], target: list[_Run]) -> list[str]:
        known = {run.run_id for run in source}
        strangers = (
            run
            for run in target
            if run.run_id not in self.present_before and run.all_tags.get(ORIGIN) not in known
        )
        return [
            f"run {run.info.get('run_name', '')!r} {run.run_id} on the target, in experiment "
            f"{run.experiment!r}, is a copy of no run there "
            f"(origin {run.all_tags.get(ORIGIN, 'not given')})"
            for run in strangers
        ]

    def _told(self, ident: str, title: str, found: Collection[_Difference]) -> list[str]:
        return [
            f"{title}: {what}: {words}" for what, words in found if (ident, what) not in self.losses
        ]


def _opened(server: str | Server) -> AbstractContextManager[Server]:
    return Server(server) if isinstance(server, str) else nullcontext(server)


def _runs(server: Server, experiments: Mapping[str, dict[str, Any]]) -> dict[str, list[_Run]]:
    """The runs of each of these experiments, by its name."""
    names = {experiment["experiment_id"]: name for name, experiment in experiments.items()}
    runs: dict[str, list[_Run]] = {name: [] for name in experiments}
    for answer in server.runs(*names):
        name = names[answer["info"]["experiment_id"]]
        runs[name].append(_Run.of(answer, name))
    return runs


def _mapping(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in pairs}


def _inputs(inputs: dict[str, Any]) -> Counter[str]:
    """Dataset inputs as JSON in one spelling, the order of tags being of no meaning."""
    return Counter(
        json.dumps([i["dataset"], _mapping(i.get("tags", []))], sort_keys=True)
        for i in inputs.get("dataset_inputs", [])
    )


def _canonical(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


def _fields(
    names: Collection[str], source: Mapping[str, Any], target: Mapping[str, Any]
) -> list[_Difference]:
    # Versions differ in whether they leave out a user that is not known or give an empty one.
    blank = {"user_id": ""}
    pairs = ((n, source.get(n, blank.get(n)), target.get(n, blank.get(n))) for n in names)
    return [(name, f"{old!r} became {new!r}") for name, old, new in pairs if old != new]


def _values(noun: str, source: Mapping[str, str], target: Mapping[str, str]) -> list[_Difference]:
    found: list[_Difference] = []
    for key in sorted(source.keys() | target.keys()):
        if key not in target:
            found.append((f"{noun} {key}", f"is missing, was {_short(source[key])}"))
        elif key not in source:
            found.append((f"{noun} {key}", f"is not at the source: {_short(target[key])}"))
        elif source[key] != target[key]:
            words = f"{_short(source[key])} became {_short(target[key])}"
            found.append((f"{noun} {key}", words))
    return found


def _inputs_apart(source: Counter[str], target: Counter[str]) -> list[_Difference]:
    def told(rows: Counter[str], words: str) -> list[_Difference]:
        return [(f"input {json.loads(row)[0]['name']}", f"{words}: {row[:300]}") for row in rows]

    return [*told(source - target, "is missing"), *told(target - source, "is not at the source")]


def _points_apart(key: str, source: Counter[Point], target: Counter[Point]) -> list[_Difference]:
    missing, extra = source - target, target - source
    if not missing and not extra:
        return []
    counts = f"{source.total()} points became {target.total()}"
    examples = [
        f"{words} (value, timestamp, step) {next(iter(points))}"
        for words, points in (("missing", missing), ("not at the source", extra))
        if points
    ]
    return [(f"metric {key}", "; ".join([counts, *examples]))]


def _short(value: str) -> str:
    if len(value) <= 80:
        return repr(value)
    return f"{value[:60]!r}... ({len(value)} characters)"
