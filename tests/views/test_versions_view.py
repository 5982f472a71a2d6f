"""The table of versions that ``--verbose`` shows."""

from __future__ import annotations

import io

from rich.console import Console

from migrate.kinds import Kind
from migrate.objects import ModelVersion
from migrate.views.versions import print_versions

VERSIONS = (
    ModelVersion(name="iris", version=2, stage="Production", aliases=("best", "new"), run_id="r1"),
    ModelVersion(name="iris\x1b[31m", version=10, source="models:/m-1"),
    ModelVersion(name="greeting", version=1, kind=Kind.PROMPT_VERSION),
)


def shown(*versions: ModelVersion, width: int = 200) -> list[str]:
    stream = io.StringIO()
    print_versions(versions, Console(file=stream, width=width))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines() if line]


def test_each_version_of_a_registered_model_has_a_row() -> None:
    heading, first, second = shown(*VERSIONS)
    assert heading == "model version stage aliases run source"
    assert first == "iris 2 Production best, new r1"
    assert second == "iris\\x1b[31m 10 None - - models:/m-1"


def test_a_narrow_terminal_cuts_nothing() -> None:
    first, _ = shown(*VERSIONS, width=30)
    assert first == "iris: version 2, stage Production, aliases best, new, run r1, source"


def test_prompts_alone_are_no_versions() -> None:
    assert shown(VERSIONS[2]) == ["No versions of registered models."]
