"""Compares the files of an object with those of its copy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from migrate.endpoints.protocols.artifacts import ReadsArtifacts
from migrate.errors import EndpointError, MigrateError, NotAuthenticated
from migrate.kinds import Ref
from migrate.objects import Artifact, ArtifactRoot, ModelVersion
from migrate.tasks.model_files import Rewrites, read_model_files
from migrate.tasks.repairs import digest_of_bytes, digest_of_file
from migrate.tasks.version_files import files_of_version, not_listed, root_of
from migrate.verify.result import Comparison, Ends


def compare_files(
    ends: Ends,
    ref: Ref,
    root: ArtifactRoot,
    copy_root: ArtifactRoot,
    rewrites: Rewrites,
    result: Comparison,
    *,
    besides: Collection[str] = (),
    may_have: Collection[str] = (),
) -> None:
    """Compare names and sizes, and contents where that is asked for.

    Model files are expected as ``rewrites`` makes them. ``besides`` are folders of the copy that
    hold something else, ``may_have`` files that it may have beside those of its original.
    """
    kept = ends.target.capabilities().keeps_files
    if kept and ends.source.artifacts.location(root) == copy_root.uri:
        return  # they are the same files
    originals = ends.source.artifacts.list(root)
    rewritten = {}
    if not ends.target.capabilities().archive:
        rewritten = dict(read_model_files(ends.source, root, originals, rewrites).contents)
    besides_originals = set(may_have) - {file.path for file in originals}
    there = [
        file
        for file in ends.target.artifacts.list(copy_root)
        if file.path not in besides_originals
        and not any(file.path.startswith(folder + "/") for folder in besides)
    ]
    mine = _Listed(ends.source.artifacts, root, originals)
    _compare_listed(
        ends, ref, mine, _Listed(ends.target.artifacts, copy_root, there), rewritten, result
    )


def compare_version_files(ends: Ends, version: ModelVersion, result: Comparison) -> None:
    """Compare the files that an export holds of a version with those at the source."""
    try:
        found = files_of_version(ends.source, version)
    except NotAuthenticated:
        raise
    except EndpointError as problem:
        result.declare(version.ref, [not_listed(problem)])
        return
    mine = _Listed(found.reader, found.root, found.files)
    place = ends.target.model_versions.files(version.ref)
    held = ends.target.artifacts.list(place) if place else []
    theirs = _Listed(ends.target.artifacts, place or root_of(version), held)
    _compare_listed(ends, version.ref, mine, theirs, found.added, result)


class _Listed(NamedTuple):
    end: ReadsArtifacts
    root: ArtifactRoot
    files: Sequence[Artifact]


def _compare_listed(
    ends: Ends,
    ref: Ref,
    originals: _Listed,
    copies: _Listed,
    rewritten: Mapping[str, bytes],
    result: Comparison,
) -> None:
    theirs = dict(copies.files)
    mine = {file.path: len(rewritten.get(file.path, b"")) or file.size for file in originals.files}
    result.files += len(mine)
    # Of what is rewritten the copy has another content, and another digest.
    known = {} if ends.contents or rewritten else copies.end.digests(copies.root)
    told = originals.end.digests(originals.root) if known else {}
    for file in originals.files:
        what = f"artifact {file.path}"
        if file.path not in theirs:
            result.differs(ref, what, "is not on the target")
        elif mine[file.path] != theirs[file.path]:
            detail = f"{mine[file.path]} bytes became {theirs[file.path]}"
            result.differs(ref, what, detail)
        elif ends.contents:
            content = rewritten.get(file.path)
            wanted = (
                _digest(originals.end, originals.root, file)
                if content is None
                else digest_of_bytes(content)
            )
            copy = Artifact(file.path, theirs[file.path])
            held = _digest(copies.end, copies.root, copy)
            if wanted != held:
                unreadable = next((it for it in (wanted, held) if " " in it), "")
                result.differs(ref, what, unreadable or "the content differs")
        elif file.path in known and known[file.path] != told.get(file.path, known[file.path]):
            result.differs(ref, what, "the content differs: another SHA-256 was recorded")
    for path in sorted(theirs.keys() - mine.keys()):
        result.differs(ref, f"artifact {path}", "is only on the target", lasting=True)


def _digest(end: ReadsArtifacts, root: ArtifactRoot, file: Artifact) -> str:
    try:
        return digest_of_file(end, root, file)
    except MigrateError as problem:
        return f"not read: {problem}"
