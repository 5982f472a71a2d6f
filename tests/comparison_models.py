"""Compares the registered models, prompts and logged models of two tracking servers in full.

As in ``tests.comparison``, nothing here comes from ``migrate``, and both servers are read over
their raw REST API. Runs are compared there; here is what models have to do with them.

What a right copy is:

- Registered models and prompts are known by their names, versions by their numbers: the target
  has the same numbers, gaps included, and nothing else, placeholders neither.
- A logged model is known by its tag ``mlflow-migrate.origin``, the id of the source's; each has
  exactly one copy, and the target has no other.
- Everything is equal but ids, artifact locations and times. Tags ``mlflow-migrate.*`` are
  bookkeeping, and ``mlflow.modelVersions`` is the server's own.
- What names a run, a logged model or an experiment names its copy: run ids, model ids, sources of
  versions, inputs and outputs of runs, the experiments and runs in the tags of prompts, and four
  lines of every MLmodel file. What has no copy is named as before, or by a bookkeeping tag only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any
from urllib.parse import quote

import requests
import yaml

from tests.comparison import BOOKKEEPING, ORIGIN, PROXIED, Server

IS_PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
#: Ids of experiments between commas, on prompts; ids of runs, on prompt versions.
PROMPT_EXPERIMENTS = "_mlflow_experiment_ids"
PROMPT_RUNS = "mlflow.prompt.associatedRunIds"
SERVER_TAGS = frozenset({"mlflow.modelVersions"})
#: The lines of an MLmodel file that name what it belongs to.
OWN_LINES = ("run_id", "model_id", "model_uuid", "artifact_path")

_THREADS = 4
_ENTRY = re.compile(rb"(?m)^(?=[^\s#-])")

#: What differs (of which part of an object), and how it reads.
_Difference = tuple[str, str]


class ModelServer(Server):
    """Reads what a server knows of models."""

    def registered_models(self, *, prompts: bool) -> dict[str, dict[str, Any]]:
        """All registered models, or all prompts, by name."""
        query = {"max_results": 200, "order_by": "name ASC", **_only(prompts)}
        found = self._pages("GET", "registered-models/search", "registered_models", query)
        return {model["name"]: model for model in found}

    def versions(self, *, prompts: bool) -> list[dict[str, Any]]:
        """All versions of all registered models, or of all prompts."""
        query = {"max_results": 500, "order_by": "name ASC", **_only(prompts)}
        return list(self._pages("GET", "model-versions/search", "model_versions", query))

    def version(self, name: str, number: int) -> dict[str, Any] | None:
        """One version, however it is tagged; None when it is not there or deleted."""
        query = {"name": name, "version": str(number)}
        answer = self._get("model-versions/get", query)
        return None if answer is None else answer["model_version"]

    def logged_models(self, experiment_ids: Collection[str]) -> list[dict[str, Any]]:
        """All logged models of these experiments that are not deleted."""
        query = {"experiment_ids": list(experiment_ids), "max_results": 500}
        return list(self._pages("POST", "logged-models/search", "models", query))

    def deleted_model(self, model_id: str) -> dict[str, Any] | None:
        """A logged model, deleted or not; None when there never was one."""
        answer = self._get(f"logged-models/{model_id}", {"allow_deleted": "true"})
        return None if answer is None else answer["model"]

    def run(self, run_id: str) -> dict[str, Any]:
        """A run with its inputs and outputs."""
        answer = self._get("runs/get", {"run_id": run_id})
        assert answer is not None
        run: dict[str, Any] = answer["run"]
        return run

    def contents(self, uri: str) -> dict[str, bytes]:
        """Path and content of every file below an artifact URI that the server proxies."""
        root = uri.removeprefix(PROXIED).strip("/")
        base = f"{self._uri}/api/2.0/mlflow-artifacts/artifacts"
        found: dict[str, bytes] = {}
        folders = [""]
        while folders:
            folder = folders.pop()
            answer = self._session.get(base, params={"path": f"{root}/{folder}".rstrip("/")})
            answer.raise_for_status()
            for file in answer.json().get("files", []):
                path = f"{folder}/{file['path']}".lstrip("/")
                if file.get("is_dir"):
                    folders.append(path)
                else:
                    content = self._session.get(f"{base}/{quote(f'{root}/{path}')}", timeout=60)
                    content.raise_for_status()
                    found[path] = content.content
        return found

    def mlmodels(self, run_id: str, uri: str) -> dict[str, bytes]:
        """Path and content of every MLmodel file of a run."""
        root = quote(uri.removeprefix(PROXIED).strip("/"))
        found: dict[str, bytes] = {}
        for path in self.files(run_id):
            if path.rpartition("/")[2] == "MLmodel":
                url = f"{self._uri}/api/2.0/mlflow-artifacts/artifacts/{root}/{quote(path)}"
                answer = self._session.get(url, timeout=60)
                answer.raise_for_status()
                found[path] = answer.content
        return found

    def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        answer = self._session.get(f"{self._uri}/api/2.0/mlflow/{path}", params=query, timeout=60)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _only(prompts: bool) -> dict[str, str]:
    return {"filter": IS_PROMPT} if prompts else {}


class _Snapshot:
    """Everything that one server knows of models, read once."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        experiments = server.experiments().values()
        self.experiments = {e["experiment_id"]: e["name"] for e in experiments}
        self.registered = server.registered_models(prompts=False)
        self.prompts = server.registered_models(prompts=True)
        self.versions: dict[str, dict[int, dict[str, Any]]] = {}
        for row in chain(server.versions(prompts=False), server.versions(prompts=True)):
            self.versions.setdefault(row["name"], {})[int(row["version"])] = row
        run_ids = [run["info"]["run_id"] for run in server.runs(*self.experiments)]
        models = server.logged_models(self.experiments)
        with ThreadPoolExecutor(_THREADS) as threads:
            self.runs = {run["info"]["run_id"]: run for run in threads.map(server.run, run_ids)}
            self.models = {model["info"]["model_id"]: model for model in models}
            self.deleted = self._named() - self.models.keys()
            found = threads.map(server.deleted_model, sorted(self.deleted))
            self.models.update((m["info"]["model_id"], m) for m in found if m is not None)
        self.deleted &= self.models.keys()

    def _named(self) -> set[str]:
        """Ids of the models that runs and versions name."""
        inputs, outputs = (
            {model_id for run in self.runs.values() for model_id, *_ in links(run)}
            for links in (_inputs, _outputs)
        )
        rows = (row for versions in self.versions.values() for row in versions.values())
        sources = (re.match(r"models:/(m-[0-9a-f]{32})", row["source"]) for row in rows)
        return inputs | outputs | {match[1] for match in sources if match}

    @cached_property
    def locations(self) -> dict[str, str]:
        """Artifact URI -> id of the run or logged model whose it is."""
        objects = chain(self.runs.items(), self.models.items())
        return {found["info"]["artifact_uri"].rstrip("/"): ident for ident, found in objects}

    def artifact_uri(self, ident: str) -> str:
        found = self.runs.get(ident) or self.models[ident]
        uri: str = found["info"]["artifact_uri"]
        return uri.rstrip("/")


def compare_models(
    source: str,
    target: str,
    run_ids: Mapping[str, str],
    *,
    declared: Collection[tuple[str, str]] = (),
) -> list[str]:
    """Every way in which the target's models are no right copies of the source's; none if none.

    - ``run_ids``: id of a run at the source -> id of its copy, for every run that has one.
    - ``declared``: (what it belongs to, what), for what need not have arrived or be as it was. The
      first is the id of a run or of a logged model, the name of a registered model or prompt, or
      ``name/3`` for a version, all at the source. The second is "copy" for the whole object, the
      name of a field, "tag KEY", "param KEY", "alias NAME", "metric KEY", "input ID", "output ID"
      or "artifact PATH".

    Raises requests.RequestException when a server cannot be read, or a file of its models.
    """
    with (
        ModelServer(source) as read_source,
        ModelServer(target) as read_target,
        ThreadPoolExecutor(2) as threads,
    ):
        at_source, at_target = threads.map(_Snapshot, (read_source, read_target))
        return _Comparison(at_source, at_target, run_ids, declared).run()


@dataclass(frozen=True)
class _Comparison:
    source: _Snapshot
    target: _Snapshot
    run_ids: Mapping[str, str]
    declared: Collection[tuple[str, str]]

    def run(self) -> list[str]:
        return [
            *self._all_registered(
                "registered model", self.source.registered, self.target.registered
            ),
            *self._all_registered("prompt", self.source.prompts, self.target.prompts),
            *self._strange_versions(),
            *self._all_logged_models(),
            *self._all_runs(),
        ]

    @cached_property
    def copies(self) -> dict[str, list[str]]:
        """Id of a logged model at the source -> ids of its copies."""
        copies: dict[str, list[str]] = {}
        for model_id, model in self.target.models.items():
            if origin := _tags(model["info"]).get(ORIGIN):
                copies.setdefault(origin, []).append(model_id)
        return copies

    @cached_property
    def experiment_ids(self) -> dict[str, str]:
        there = {name: ident for ident, name in self.target.experiments.items()}
        experiments = self.source.experiments.items()
        return {ident: there[name] for ident, name in experiments if name in there}

    def new_id(self, ident: str) -> str:
        """The id of the copy of a run or logged model, or the same where it has none."""
        if ident in self.run_ids:
            return self.run_ids[ident]
        return min(self.copies.get(ident, [ident]))

    def new_location(self, uri: str) -> str:
        """Where the copy is of what is at this location of the source."""
        for root in sorted(self.source.locations, key=len, reverse=True):
            if uri == root or uri.startswith(f"{root}/"):
                new = self.new_id(self.source.locations[root])
                known = new in self.target.runs or new in self.target.models
                return (self.target.artifact_uri(new) if known else root) + uri[len(root) :]
        return uri

    def new_source(self, text: str) -> str:
        """What the source of a copied version is."""
        if match := re.fullmatch(r"(runs:/+|models:/+)(\w{32}|m-\w{32})((?:/.*)?)", text, re.S):
            return match[1] + self.new_id(match[2]) + match[3]
        return self.new_location(text)

    # Registered models, prompts and their versions

    def _all_registered(
        self,
        noun: str,
        source: Mapping[str, dict[str, Any]],
        target: Mapping[str, dict[str, Any]],
    ) -> Iterator[str]:
        for name in sorted(source.keys() | target.keys()):
            title = f"{noun} {name!r}"
            if name not in target:
                yield from self._told(name, title, [("copy", "is not on the target")])
            elif name not in source:
                yield from self._told(name, title, [("copy", "is not at the source")])
            else:
                yield from self._told(name, title, self._registered(source[name], target[name]))
                yield from self._versions(name, title)

    def _registered(self, source: dict[str, Any], target: dict[str, Any]) -> Iterator[_Difference]:
        yield from _fields(("description",), source, target)
        tags = _own(source)
        if PROMPT_EXPERIMENTS in tags:
            ids = tags[PROMPT_EXPERIMENTS].split(",")
            new = [self.experiment_ids.get(ident, ident) for ident in ids]
            tags[PROMPT_EXPERIMENTS] = ",".join(new)
        yield from _values("tag", tags, _own(target))
        yield from _values("alias", _aliases(source), _aliases(target))

    def _versions(self, name: str, title: str) -> Iterator[str]:
        source, target = self.source.versions.get(name, {}), self.target.versions.get(name, {})
        for number in sorted(source.keys() | target.keys()):
            ident, words = f"{name}/{number}", f"{title} version {number}"
            if number not in target:
                yield from self._told(ident, words, [("copy", "is missing")])
            elif number not in source:
                yield from self._told(ident, words, [("copy", "is not at the source")])
            else:
                found = self._version(source[number], target[number])
                yield from self._told(ident, words, found)
        # A version of a prompt that is not tagged as one is found by no search.
        unseen = set(range(1, max([*source, *target, 0]) + 3)) - source.keys() - target.keys()
        for number in sorted(unseen):
            if self.target.server.version(name, number) is not None:
                yield f"{title} version {number}: a placeholder is left on the target"

    def _version(self, source: dict[str, Any], target: dict[str, Any]) -> Iterator[_Difference]:
        yield from _fields(("description", "current_stage", "status", "run_link"), source, target)
        expected = self.new_source(source["source"])
        if target["source"] != expected:
            yield "source", f"should be {expected!r}, is {target['source']!r}"
        yield from self._run_id("run_id", source, target, _tags(target))
        tags = _own(source)
        if PROMPT_RUNS in tags:
            new = [self.new_id(ident) for ident in tags[PROMPT_RUNS].split(",")]
            tags[PROMPT_RUNS] = ",".join(new)
        yield from _values("tag", tags, _own(target))

    def _run_id(
        self,
        key: str,
        source: Mapping[str, Any],
        target: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> Iterator[_Difference]:
        old, new = source.get(key, ""), target.get(key, "")
        kept = any(k.startswith(BOOKKEEPING) and old in v for k, v in tags.items())
        if old and old not in self.run_ids and new == "" and kept:
            return
        if new != self.new_id(old):
            yield key, f"should be {self.new_id(old)!r}, is {new!r}"

    def _strange_versions(self) -> Iterator[str]:
        known = self.target.registered.keys() | self.target.prompts.keys()
        for name in sorted(self.target.versions.keys() - known):
            yield f"versions of {name!r} are on the target, and the model is not"

    # Logged models

    def _all_logged_models(self) -> Iterator[str]:
        for model_id, model in sorted(self.target.models.items()):
            origin = _tags(model["info"]).get(ORIGIN)
            if origin not in self.source.models:
                words = f"logged model {model['info']['name']!r} {model_id} on the target"
                yield f"{words} is a copy of no model there (origin {origin or 'not given'})"
        with ThreadPoolExecutor(_THREADS) as threads:
            rows = threads.map(self._logged_model, sorted(self.source.models))
            yield from chain.from_iterable(rows)

    def _logged_model(self, model_id: str) -> list[str]:
        source = self.source.models[model_id]
        title = f"logged model {source['info']['name']!r} {model_id}"
        copies = self.copies.get(model_id, [])
        if len(copies) != 1:
            words = f"has {len(copies)} copies: {', '.join(copies)}" if copies else "has no copy"
            return list(self._told(model_id, title, [("copy", words)]))
        target = self.target.models[copies[0]]
        found = [
            *self._model_info(source["info"], target["info"]),
            *_values("param", _params(source), _params(target)),
            *self._model_metrics(source, target),
            *self._model_files(model_id, copies[0]),
        ]
        return list(self._told(model_id, f"{title} -> {copies[0]}", found))

    def _model_info(self, source: dict[str, Any], target: dict[str, Any]) -> Iterator[_Difference]:
        yield from _fields(("name", "model_type", "status", "status_message"), source, target)
        yield from _values("tag", _own(source), _own(target))
        yield from self._run_id("source_run_id", source, target, _tags(target))
        deleted = (
            source["model_id"] in self.source.deleted,
            target["model_id"] in self.target.deleted,
        )
        if deleted[0] != deleted[1]:
            yield "lifecycle_stage", f"deleted {deleted[0]} became {deleted[1]}"
        old = self.source.experiments[source["experiment_id"]]
        new = self.target.experiments[target["experiment_id"]]
        if old != new:
            yield "experiment", f"is in {new!r} instead of {old!r}"

    def _model_metrics(
        self, source: dict[str, Any], target: dict[str, Any]
    ) -> Iterator[_Difference]:
        expected = Counter(_point(row, self.new_id(row["run_id"])) for row in _metrics(source))
        found = Counter(_point(row, row["run_id"]) for row in _metrics(target))
        for words, rows in (
            ("is missing", expected - found),
            ("is not at the source", found - expected),
        ):
            for row in sorted(rows):
                yield f"metric {row[0]}", f"{words}: {row}"

    def _model_files(self, old: str, new: str) -> Iterator[_Difference]:
        source = self.source.server.contents(self.source.artifact_uri(old))
        target = self.target.server.contents(self.target.artifact_uri(new))
        for path in sorted(source.keys() | target.keys()):
            if path not in target:
                yield f"artifact {path}", "is missing"
            elif path not in source:
                yield f"artifact {path}", "is not at the source"
            elif path.rpartition("/")[2] == "MLmodel":
                yield from self._mlmodel(path, source[path], target[path])
            elif source[path] != target[path]:
                yield f"artifact {path}", "has other contents"

    def _mlmodel(self, path: str, source: bytes, target: bytes) -> Iterator[_Difference]:
        old, new = _ENTRY.split(source), _ENTRY.split(target)
        if source == target and not any(self._renewed(entry) for entry in old):
            return
        if len(old) != len(new):
            yield f"artifact {path}", "has other entries"
            return
        for was, became in zip(old, new, strict=True):
            expected = self._renewed(was)
            if expected is None:
                if was != became:
                    yield f"artifact {path}", f"{was!r} became {became!r}"
            elif _yaml(became) != expected:
                yield f"artifact {path}", f"should be {expected}, is {became!r}"

    def _renewed(self, entry: bytes) -> dict[str, str] | None:
        """What an entry of an MLmodel must be in the copy, where it is not to stay as it is."""
        found = _yaml(entry)
        if not isinstance(found, dict) or len(found) != 1:
            return None
        ((key, value),) = found.items()
        if key not in OWN_LINES or not isinstance(value, str):
            return None
        new = self.new_location(value) if key == "artifact_path" else self.new_id(value)
        return None if new == value else {key: new}

    # What runs have of models

    def _all_runs(self) -> Iterator[str]:
        with ThreadPoolExecutor(_THREADS) as threads:
            yield from chain.from_iterable(threads.map(self._run, sorted(self.source.runs)))
        copied = set(self.run_ids.values())
        for run_id, run in sorted(self.target.runs.items()):
            if run_id not in copied and (_inputs(run) or _outputs(run)):
                yield f"run {run_id} on the target, no copy of any, names logged models"

    def _run(self, run_id: str) -> list[str]:
        source = self.source.runs[run_id]
        title = f"run {source['info'].get('run_name', '')!r} {run_id}"
        if run_id not in self.run_ids:
            if not (_inputs(source) or _outputs(source)):
                return []
            return list(self._told(run_id, title, [("copy", "has no copy, and names models")]))
        new_id = self.run_ids[run_id]
        target = self.target.runs.get(new_id)
        if target is None:
            words = [("copy", f"should be {new_id}, which is not on the target")]
            return list(self._told(run_id, title, words))
        found = [
            *self._links("input", _inputs(source), _inputs(target)),
            *self._links("output", _outputs(source), _outputs(target)),
            *self._run_files(source, target),
        ]
        return list(self._told(run_id, f"{title} -> {new_id}", found))

    def _links(
        self, noun: str, source: Counter[tuple[str, int]], target: Counter[tuple[str, int]]
    ) -> Iterator[_Difference]:
        expected = Counter((self.new_id(ident), step) for ident, step in source.elements())
        old = {self.new_id(ident): ident for ident, _ in source}
        for ident, step in sorted((expected - target).elements()):
            # Nobody misses the name of a model that nobody has.
            if old[ident] in self.source.models:
                yield f"{noun} {old[ident]}", f"{ident} at step {step} is missing"
        for ident, step in sorted((target - expected).elements()):
            yield f"{noun} {old.get(ident, ident)}", f"{ident} at step {step} is not at the source"

    def _run_files(self, source: dict[str, Any], target: dict[str, Any]) -> Iterator[_Difference]:
        old, new = (
            snapshot.server.mlmodels(run["info"]["run_id"], run["info"]["artifact_uri"])
            for snapshot, run in ((self.source, source), (self.target, target))
        )
        for path in sorted(old.keys() | new.keys()):
            if path not in new:
                yield f"artifact {path}", "is missing"
            elif path not in old:
                yield f"artifact {path}", "is not at the source"
            else:
                yield from self._mlmodel(path, old[path], new[path])

    def _told(self, ident: str, title: str, found: Iterable[_Difference]) -> Iterator[str]:
        for what, words in found:
            if (ident, what) not in self.declared:
                yield f"{title}: {what}: {words}"


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}


def _own(found: Mapping[str, Any]) -> dict[str, str]:
    tags = _tags(found).items()
    return {k: v for k, v in tags if not k.startswith(BOOKKEEPING) and k not in SERVER_TAGS}


def _aliases(found: Mapping[str, Any]) -> dict[str, str]:
    return {alias["alias"]: alias["version"] for alias in found.get("aliases", [])}


def _params(model: Mapping[str, Any]) -> dict[str, str]:
    rows = model.get("data", {}).get("params", [])
    return {row["key"]: row.get("value", "") for row in rows}


def _metrics(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = model.get("data", {}).get("metrics", [])
    return rows


def _point(row: Mapping[str, Any], run_id: str) -> tuple[str, str, int, int, str, str, str]:
    return (
        row["key"],
        repr(float(row["value"]) + 0.0),
        int(row.get("timestamp", 0)),
        int(row.get("step", 0)),
        run_id,
        row.get("dataset_name", ""),
        row.get("dataset_digest", ""),
    )


def _inputs(run: Mapping[str, Any]) -> Counter[tuple[str, int]]:
    rows = run.get("inputs", {}).get("model_inputs", [])
    return Counter((row["model_id"], 0) for row in rows)


def _outputs(run: Mapping[str, Any]) -> Counter[tuple[str, int]]:
    rows = run.get("outputs", {}).get("model_outputs", [])
    return Counter((row["model_id"], int(row.get("step", 0))) for row in rows)


def _yaml(text: bytes) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):
        return None


def _fields(
    names: Iterable[str], source: Mapping[str, Any], target: Mapping[str, Any]
) -> Iterator[_Difference]:
    for name in names:
        old, new = source.get(name) or "", target.get(name) or ""
        if old != new:
            yield name, f"{old!r:.200} became {new!r:.200}"


def _values(
    noun: str, source: Mapping[str, str], target: Mapping[str, str]
) -> Iterator[_Difference]:
    for key in sorted(source.keys() | target.keys()):
        if key not in target:
            yield f"{noun} {key}", f"is missing, was {source[key]!r:.200}"
        elif key not in source:
            yield f"{noun} {key}", f"is not at the source: {target[key]!r:.200}"
        elif source[key] != target[key]:
            yield f"{noun} {key}", f"{source[key]!r:.200} became {target[key]!r:.200}"
