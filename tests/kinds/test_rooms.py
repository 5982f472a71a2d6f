"""A kind is one room: what is its own stands in its modules, and no module is a whole floor."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import migrate

PACKAGE = Path(migrate.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
_NAMES_ONE = re.compile(r"\bKind\.[A-Z]")


def _is_a_room(module: Path) -> bool:
    place = module.relative_to(PACKAGE)
    return place.parts[0] == "tasks" or "stores" in place.parts or place.name == "kinds.py"


def test_kinds_are_named_in_their_own_rooms() -> None:
    mentions = [
        f"{module.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for module in MODULES
        if not _is_a_room(module)
        for number, line in enumerate(module.read_text("utf-8").splitlines(), 1)
        if _NAMES_ONE.search(line)
    ]
    assert len(mentions) <= 15, "\n".join(mentions)


def test_modules_are_small() -> None:
    lengths = {str(it): it.read_text("utf-8").count("\n") for it in MODULES}
    assert median(lengths.values()) < 120
    assert max(lengths.values()) <= 400, max(lengths, key=lambda name: lengths[name])
