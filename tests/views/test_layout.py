"""Lines and lists, on a terminal and without one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from migrate.views.layout import print_list, say

LINES = ["plain", "[bold]no markup[/bold] :smile:", "wide " * 80, "日本語 é", "C:\\x\\y", ""]


def shown(*, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        force_terminal=terminal,
        color_system=None,
        width=80,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )
    for line in LINES:
        say(console, line, "bold red")
    print_list(console, "All:", LINES)
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_every_line_is_printed_as_it_is_with_or_without_a_terminal(terminal: bool) -> None:
    listed = [f"  {line}" for line in LINES]
    assert shown(terminal=terminal).split("\n") == [*LINES, "", "All:", *listed, ""]
