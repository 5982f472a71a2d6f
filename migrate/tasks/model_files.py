"""Rewrites what model files say of the run and the model they belong to.

Every model has a file ``MLmodel``, YAML, whose top level names its run, its logged model and where
it lies. Only those values are replaced, in place; every other character stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from migrate.endpoints.protocols import Source
from migrate.errors import EndpointError, Unavailable
from migrate.objects import Artifact, ArtifactRoot

MODEL_FILE = "MLmodel"
#: Longer ones are none that MLflow wrote, and are copied as they are.
LONGEST = 16 << 20


_NAMED = re.compile(rb"^(?:run_id|model_id): *['\"]?([0-9a-zA-Z-]{3,})", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrites:
    """What to replace: ``ids`` of runs and logged models, ``roots`` of artifact URIs.

    Where ``ids_are_kept``, whatever a file names is named so by the copies too.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    roots: tuple[tuple[str, str], ...] = ()
    ids_are_kept: bool = False

    def of_path(self, uri: str) -> str:
        """Return an artifact URI below the copy's root in place of the original's."""
        for old, new in self.roots:
            if old and (uri == old or uri.startswith(old.rstrip("/") + "/")):
                return new.rstrip("/") + uri[len(old.rstrip("/")) :]
        return uri


class UnreadableModelFile(ValueError):
    """A file ``MLmodel`` that is not YAML, or not UTF-8."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The model files of an object as its copy gets them, by path; and what went wrong."""

    contents: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def is_model_file(path: str) -> bool:
    """Say whether a path is that of a model file."""
    return path.rpartition("/")[2] == MODEL_FILE


def read_model_files(
    source: Source, root: ArtifactRoot, files: Iterable[Artifact], rewrites: Rewrites
) -> ModelFiles:
    """Read the model files among ``files`` and rewrite them.

    One that the source does not deliver now is left out: it is copied like any other file.
    """
    contents: dict[str, bytes] = {}
    warnings: list[str] = []
    for file in files:
        if not is_model_file(file.path) or file.size > LONGEST:
            continue
        try:
            with source.artifacts.open(root, file) as stream:
                content = b"".join(iter(lambda: stream.read(1 << 20), b""))
        except (EndpointError, Unavailable):
            continue
        if len(content) != file.size:
            continue
        if named := foreign_ids(content, rewrites):
            warnings.append(f"{file.path} names {', '.join(named)}, not its own: kept as it is")
        try:
            contents[file.path] = rewritten(content, rewrites)
        except UnreadableModelFile as problem:
            warnings.append(f"{file.path} cannot be read ({problem}): it keeps the source's ids")
            contents[file.path] = content
    return ModelFiles(contents, tuple(warnings))


def foreign_ids(content: bytes, rewrites: Rewrites) -> list[str]:
    """Return the ids of runs and logged models that a model file names and ``rewrites`` lack."""
    if rewrites.ids_are_kept:
        return []
    found = {match[1].decode() for match in _NAMED.finditer(content)}
    return sorted(found - rewrites.ids.keys() - {"null"})


def rewritten(content: bytes, rewrites: Rewrites) -> bytes:
    """Return a model file with the copy's ids and place. Raises ``UnreadableModelFile``."""
    wanted = [*rewrites.ids, *(old for old, _ in rewrites.roots)]
    if not any(text and text.encode() in content for text in wanted):
        return content
    from migrate.tasks.model_yaml import replaced  # and YAML, for models alone

    return replaced(content, rewrites)
