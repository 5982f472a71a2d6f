"""Compares the files of an object with those of its copy."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from migrate.endpoints.protocols import Source
from migrate.errors import MigrateError
from migrate.objects import Artifact, ArtifactRoot, Ref
from migrate.tasks.model_files import Rewrites, read_model_files
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
    originals = ends.source.artifacts(root)
    theirs = {
        path: size
        for path, size in ends.target.artifacts(copy_root)
        if not any(path.startswith(folder + "/") for folder in besides)
    }
    rewritten = {}
    if not ends.target.capabilities().keeps_ids:
        rewritten = dict(read_model_files(ends.source, root, originals, rewrites).contents)
    mine = {file.path: len(rewritten.get(file.path, b"")) or file.size for file in originals}
    result.files += len(mine)
    for file in originals:
        what = f"artifact {file.path}"
        if file.path not in theirs:
            result.differs(ref, what, "is not on the target")
        elif mine[file.path] != theirs[file.path]:
            detail = f"{mine[file.path]} bytes became {theirs[file.path]}"
            result.differs(ref, what, detail)
        elif ends.contents:
            content = rewritten.get(file.path)
            wanted = _hash(ends.source, root, file) if content is None else _digest(content)
            copy = Artifact(file.path, theirs[file.path])
            if wanted != _hash(ends.target, copy_root, copy):
                result.differs(ref, what, "the content differs")
    for path in sorted(theirs.keys() - mine.keys() - set(may_have)):
        result.differs(ref, f"artifact {path}", "is only on the target")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hash(end: Source, root: ArtifactRoot, file: Artifact) -> str:
    digest = hashlib.sha256()
    try:
        with end.open_artifact(root, file) as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except MigrateError as problem:
        return f"unreadable: {problem}"
    return digest.hexdigest()
