"""The plan as a picture, a page, a Mermaid flowchart or data, by the ending of the file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from migrate.errors import UsageError
from migrate.plans import Plan
from migrate.views.graph.data import plan_as_data
from migrate.views.graph.mermaid import plan_as_mermaid
from migrate.views.graph.page import plan_as_page
from migrate.views.graph.picture import plan_as_picture

WRITERS: Mapping[str, Callable[[Plan], str]] = {
    ".svg": plan_as_picture,
    ".html": plan_as_page,
    ".mmd": plan_as_mermaid,
    ".json": plan_as_data,
}


def check_graph_path(path: Path) -> None:
    """Raise ``UsageError`` when ``path`` has no ending we know, or cannot be written to."""
    if path.suffix.lower() not in WRITERS:
        raise UsageError(
            f"--graph {path} has no ending that says what to draw",
            f"end it in {', '.join(WRITERS)}",
        )
    if path.is_dir():
        raise UsageError(f"--graph {path} is a folder", "name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"--graph {path}: there is no folder {path.parent}", "make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(
            f"--graph {path}: no permission to write in {path.parent}", "name another folder"
        )


def write_graph(plan: Plan, path: Path) -> None:
    """Write the graph of a plan: the file is there either whole or as it was before.

    Raises ``UsageError`` as ``check_graph_path`` does, and when writing fails.
    """
    check_graph_path(path)
    content = WRITERS[path.suffix.lower()](plan).encode()
    partial = ""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(partial, mode)
        os.replace(partial, path)
    except OSError as problem:
        if partial:
            Path(partial).unlink(missing_ok=True)
        raise UsageError(
            f"--graph {path} cannot be written: {problem.strerror or problem}",
            "name another file; the plan itself is stored",
        ) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
