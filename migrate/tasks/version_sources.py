"""What the source of a model version names, and the same for its copy. Pure.

MLflow takes many forms: a logged model (``models:/m-…``), another version (``models:/name/3``), a
run's path (``runs:/…``), and storage locations, which may lie below a run or a logged model or
anywhere else.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from migrate.errors import Refused
from migrate.kinds import Kind, Ref, logged_model_ref, run_ref, version_ref
from migrate.objects import ModelVersion

#: Tag of a prompt version: ids of runs, with commas between (``mlflow.prompt.constants``).
PROMPT_RUNS_TAG = "mlflow.prompt.associatedRunIds"
#: MLflow takes a name and a number, or a name and an alias, for a version, whatever the name.
_LOGGED_MODEL = re.compile(r"models:/+(m-[^/@]+)(?!/\d+/?\Z)((?:/.*)?)\Z", re.S)
_VERSION = re.compile(r"models:/+([^/]+)/(\d+)/?\Z", re.S)
_RUN = re.compile(r"runs:/+([^/]+)(.*)", re.S)
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"\Afile:(?://(?:localhost)?)?(?=/)")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")


class VersionSource(NamedTuple):
    """What ``model-versions/create`` wants to know: the location, and whose it is."""

    source: str
    run_id: str = ""
    model_id: str = ""


class Place(NamedTuple):
    """Where the files of a run or logged model are, and those of its copy, as URIs."""

    original: str
    copy: str


def prompt_runs(tags: Mapping[str, str]) -> list[str]:
    """Return the ids of the runs that a prompt version says have used it."""
    return [run_id for run_id in tags.get(PROMPT_RUNS_TAG, "").split(",") if run_id]


def copied_prompt_tags(
    tags: Mapping[str, str], copies: Mapping[Ref, str]
) -> tuple[dict[str, str], list[str]]:
    """Return a prompt version's tags with the ids of copies of runs, and ids without a copy."""
    run_ids = prompt_runs(tags)
    known = [copies.get(run_ref(run_id)) for run_id in run_ids]
    orphans = [run_id for run_id, copy in zip(run_ids, known, strict=True) if copy is None]
    if not run_ids:
        return dict(tags), []
    return {**tags, PROMPT_RUNS_TAG: ",".join(filter(None, known))}, orphans


def named_by(version: ModelVersion) -> list[Ref]:
    """Return what a version may name; the run and the model it says it is of come first."""
    if version.is_of_prompt:
        return [run_ref(run_id) for run_id in prompt_runs(version.tags)]
    refs = []
    if version.run_id:
        refs.append(run_ref(version.run_id))
    if version.model_id:
        refs.append(logged_model_ref(version.model_id))
    source = version.source
    if found := _LOGGED_MODEL.match(source):
        refs.append(logged_model_ref(found[1]))
    elif found := _VERSION.match(source):
        refs += [
            version_ref(Kind.MODEL_VERSION, name, int(found[2]))
            for name in dict.fromkeys((found[1], unquote(found[1])))
        ]
    elif found := _RUN.match(source):
        refs.append(run_ref(found[1]))
    else:
        for part in source.split("/"):
            if _MODEL_ID.fullmatch(part):
                refs.append(logged_model_ref(part))
            elif _RUN_ID.fullmatch(part):
                refs.append(run_ref(part))
    return list(dict.fromkeys(refs))


def copied_source(
    version: ModelVersion, copies: Mapping[Ref, str], place: Callable[[Ref], Place | None]
) -> VersionSource:
    """Return the source of the copy of ``version``.

    ``copies`` has the ids of what is on the target; ``place`` tells where their files are. Raises
    ``Refused`` when it names a logged model or a version that has no copy: nothing else would do.
    """
    source = version.source
    run_id = copies.get(run_ref(version.run_id), "")
    if found := _LOGGED_MODEL.match(source):
        model_id = copies.get(logged_model_ref(found[1]))
        if model_id is None:
            raise Refused(f"its source is logged model {found[1]}, which is not on the target")
        if model_id.startswith("runs:/"):  # the target has no logged models
            return VersionSource(model_id + found[2], model_id.split("/")[1])
        return VersionSource(f"models:/{model_id}{found[2]}", run_id, model_id)
    if found := _VERSION.match(source):
        for name in (found[1], unquote(found[1])):
            other = copies.get(version_ref(Kind.MODEL_VERSION, name, int(found[2])))
            if other is not None:
                return VersionSource(f"models:/{other}", run_id)
        raise Refused(f"its source is {source}, which is not on the target")
    if found := _RUN.match(source):
        # Without a copy of the run, its id stays: the rules of MLflow want one.
        copy = copies.get(run_ref(found[1]), found[1])
        return VersionSource(f"runs:/{copy}{found[2]}", copy)
    return _copied_location(version, run_id, copies, place)


def named_places(
    uri: str, version: ModelVersion, root_of: Callable[[Ref], str]
) -> list[tuple[Ref, str]]:
    """Return whose files a version's location may be among, and the folder there; likeliest first.

    Another version stands for all of its files. ``root_of`` tells where the files of a run or
    logged model are, with nothing for one that is not there.
    """
    if found := _LOGGED_MODEL.match(uri):
        return [(logged_model_ref(found[1]), found[2].strip("/"))]
    named = dataclasses.replace(version, source=uri, run_id="", model_id="")
    if _VERSION.match(uri):
        return [(ref, "") for ref in named_by(named)]
    if found := _RUN.match(uri):
        return [(run_ref(found[1]), found[2].strip("/"))]
    named = dataclasses.replace(version, source=uri)
    folders = [(owner, _below(uri, root_of(owner))) for owner in named_by(named)]
    return [(owner, folder.strip("/")) for owner, folder in folders if folder is not None]


def _copied_location(
    version: ModelVersion,
    run_id: str,
    copies: Mapping[Ref, str],
    place: Callable[[Ref], Place | None],
) -> VersionSource:
    """Return a location below the copy of the run or model it is below, else as it is."""
    for owner in named_by(version):
        known = place(owner) if owner in copies else None
        if known is None:
            continue
        rest = _below(version.source, known.original)
        if rest is None:
            continue
        source = known.copy.rstrip("/") + rest
        if owner.kind is Kind.LOGGED_MODEL and copies[owner].startswith("runs:/"):
            return VersionSource(source, copies[owner].split("/")[1])
        if owner.kind is Kind.LOGGED_MODEL:
            return VersionSource(source, run_id, copies[owner])
        return VersionSource(source, copies[owner])
    return VersionSource(version.source, run_id)


def _below(uri: str, root: str) -> str | None:
    """Return what follows ``root`` in ``uri``, None where it is not below it."""
    uri, root = (
        text[found.end() if (found := _FILE.match(text)) else 0 :].rstrip("/")
        for text in (uri, root)
    )
    if root and (uri == root or uri.startswith(root + "/")):
        return uri[len(root) :]
    return None
