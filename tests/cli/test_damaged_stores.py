"""Damaged stores, by the commands: what is broken is named, the exit code tells, the rest arrives.

The damages are those of the tests of the endpoints.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Typed
from tests.cli.test_database_target import TABLES
from tests.endpoints.databases import rows, unpacked
from tests.endpoints.filestores import listing
from tests.endpoints.filestores import unpacked as unpacked_store
from tests.endpoints.test_database_damage import DAMAGES
from tests.endpoints.test_filestore_damage import COSTS_IT, COSTS_SOME

#: Some for every day, of each way to be told; the others are thorough.
DAILY = {"no file of a run", "too deep", "no file of a version", "a param that is a link"}


def every(names: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(it, marks=() if it in DAILY else pytest.mark.thorough, id=it) for it in names
    ]


def copied(typed: Typed, root: Path, name: str, code: int) -> tuple[Path, dict[str, Any]]:
    """Copy a file store into a database; return that and the report."""
    new = root.parent / f"{name}.db"
    words = (str(root), f"sqlite:///{new}", "--include-deleted", "--state", f"{name}-state.db")
    told = typed("run", *words, "--target-artifacts", "placed", "--json", code=code)
    report: dict[str, Any] = json.loads(told.stdout)
    return new, report


def of_others(path: Path, broken: str) -> dict[str, list[str]]:
    """Return all rows but those that name an object, by table, without what tells of the copy."""
    found: dict[str, list[str]] = {}
    for table in TABLES:
        columns = [it for _, it, *_ in rows(path, f"PRAGMA table_info({table})")]
        told = [it for it in columns if it not in TABLES[table]]
        if not told:  # a newer MLflow has this table
            continue
        kept = rows(path, f"SELECT {', '.join(told)} FROM {table}")
        found[table] = sorted(
            repr(row)
            for row in kept
            if broken not in repr(row) and "mlflow-migrate" not in repr(row)
        )
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file store of its own."""
    return unpacked_store("3.8.1", tmp_path)


@pytest.mark.parametrize("name", every(COSTS_IT))
def test_an_object_of_a_file_store_that_is_broken_fails_by_name_and_no_other(
    name: str, typed: Typed, root: Path
) -> None:
    damage, ref, words = COSTS_IT[name]
    whole, of_whole = copied(typed, root, "whole", 0)
    damage(root)
    before = listing(root)
    new, report = copied(typed, root, "damaged", 3)
    assert listing(root) == before
    told = [(it["id"], it["error"]) for it in report["failures"]]
    told += [(it["what"], it["reason"]) for it in report["losses"]]
    [(ident, error)] = told
    assert ident.endswith(ref.id)
    assert any(word in error for word in words.split("|"))
    # All that was found is there, but for what is broken, and what cannot be without it.
    for kind, totals in report["totals"].items():
        assert totals["found"] == of_whole["totals"][kind]["found"]
        assert totals["done"] + totals["failed"] + totals["blocked"] == totals["found"]
    others, of_all = of_others(new, ref.id), of_others(whole, ref.id)
    assert {it: Counter(others[it]) - Counter(of_all[it]) for it in others if others[it]} == {
        it: Counter() for it in others if others[it]
    }


@pytest.mark.parametrize("name", every(COSTS_SOME))
def test_what_is_broken_in_an_object_of_a_file_store_is_a_loss_by_name_and_nothing_else(
    name: str, typed: Typed, root: Path
) -> None:
    damage, ref, what, why = COSTS_SOME[name]
    whole, _ = copied(typed, root, "whole", 0)
    damage(root)
    before = listing(root)
    new, report = copied(typed, root, "damaged", 3)
    assert listing(root) == before
    assert report["failures"] == []
    [loss] = report["losses"]
    assert loss["what"].startswith(what)
    assert why in loss["reason"]
    of_all, others = of_others(whole, ref.id), of_others(new, ref.id)
    if what == "dataset input":
        assert (len(of_all.pop("datasets")), others.pop("datasets")) == (1, [])
    assert others == of_all


@pytest.mark.parametrize("name", DAMAGES)
def test_a_database_that_is_damaged_ends_in_an_error_with_what_to_do(
    name: str, typed: Typed, tmp_path: Path
) -> None:
    damage, code, words = DAMAGES[name]
    path = unpacked("3.17.2", tmp_path)
    damage(path)
    before = path.read_bytes() if path.is_file() else b""
    told = typed.fails("run", f"sqlite:///{path}", str(tmp_path / "export"), code=code, says="")
    assert words in " ".join(told.stderr.split())
    assert "Hint: " in told.stderr
    assert (path.read_bytes() if path.is_file() else b"") == before
