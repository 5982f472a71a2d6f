"""Names that a target does not take, or takes for another one."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess, copy_database
from tests.cli.conftest import Typed
from tests.cli.test_unstorable import found_in
from tests.conftest import ProxyFactory
from tests.seed import START
from tests.seed_models import ModelSource


def collate(
    server: TrackingServerProcess,
    directory: Path,
    name: str = "NOCASE",
    compare: Callable[[str, str], int] | None = None,
) -> None:
    """Have the database of a server compare all texts that have a length by a collation.

    ``compare`` is what one does that SQLite does not have: the server needs it as well.
    """
    served, folding = server.directory / "mlflow.db", directory / "folding.db"
    copy_database(served, folding)
    with closing(sqlite3.connect(folding)) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        tables = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        for table, sql in tables.fetchall():
            folded = re.sub(r"(VARCHAR\(\d+\))", rf"\1 COLLATE {name}", sql)
            database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (folded, table))
    with closing(sqlite3.connect(folding)) as database, database:
        if compare is not None:
            database.create_collation(name, compare)
        database.execute("REINDEX")
    copy_database(folding, served)


@pytest.fixture
def folding_target(fresh_target: TrackingServerProcess, tmp_path: Path) -> TrackingServerProcess:
    """A server whose database compares texts without case, as MySQL and SQL Server do."""
    collate(fresh_target, tmp_path)
    return fresh_target


#: With how many versions each has.
TWINS = {"Wine": 1, "wine": 2}


def models_on(uri: str) -> dict[str, int]:
    """The registered models of a server, with how many versions each has."""
    with ModelSource(uri) as server:
        found = server.send("GET", "registered-models/search", {"max_results": 200})
        versions = server.send("GET", "model-versions/search", {"max_results": 200})
    names = [item["name"] for item in found.get("registered_models", ())]
    of = [item["name"] for item in versions.get("model_versions", ())]
    return {name: of.count(name) for name in names}


def ended(typed: Typed, *args: str | Path, code: int) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(typed(*args, "--json", code=code).stdout)
    return result


def test_twins_on_a_target_that_compares_without_case_fail_by_name_and_a_rename_is_the_way_out(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    folding_target: TrackingServerProcess,
    tmp_path: Path,
) -> None:
    with ModelSource(fresh_source.uri) as source:
        for name, versions in TWINS.items():
            source.registered(name)
            for number in range(versions):
                source.version(name, f"s3://bucket/{name}/{number}")
        for name in ("Fraud", "fraud"):
            source.experiment(name)
    args = ("run", fresh_source.uri, folding_target.uri)
    plan = typed("plan", *args[1:]).stdout
    assert "'Wine', 'wine'" in plan
    assert "'Fraud', 'fraud'" in plan
    first = ended(typed, *args, code=3)
    failed = {failure["id"]: failure for failure in first["failures"] if failure["name"]}
    assert len(failed) == 2
    hints = {failure["hint"].split(": ")[1].split()[0] for failure in failed.values()}
    assert hints == {"--model-rename-file", "--experiment-rename-file"}
    there = models_on(folding_target.uri)
    assert there.items() <= TWINS.items()
    assert len(there) == 1

    for options in (("--delete-model",), ("--resume",)):
        typed(*args, *options, code=3)
        assert models_on(folding_target.uri) == there

    renames: list[str | Path] = []
    for failure in failed.values():
        file = tmp_path / f"{failure['kind']}.csv"
        file.write_text(f"{failure['name']},{failure['name']} of A\n")
        renames += [failure["hint"].split(": ")[1].split()[0], file]
    typed(*args, *renames, "--delete-model")
    assert sorted(models_on(folding_target.uri).values()) == [1, 2]
    typed("verify", *args[1:], *renames)


#: Twice the same word for a database that compares without case, and one of its own.
TAGS = {"Team": "1", "team": "2", "other": "3"}


def test_twins_inside_an_object_are_a_loss_by_name_and_a_second_run_writes_nothing(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    folding_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
) -> None:
    with ModelSource(fresh_source.uri) as source:
        experiment = source.experiment("twins", tags=TAGS)
        run = source.run("a", experiment, tags=TAGS)
        source.params(run, {"lr": "1", "LR": "2", "keep": "3"})
        points = [(key, step / 8, START + step, step) for key in ("auc", "AUC") for step in (1, 2)]
        source.metrics(run, [*points, ("loss", 1.0, START, 0)])
        source.logged_model("m", experiment, run_id=run, params={"lr": "1", "LR": "2"}, tags=TAGS)
        name = source.registered("twin parts", tags=TAGS)
        for alias in ("Best", "best"):
            source.alias(name, alias, source.version(name, "s3://bucket/x", tags=TAGS))
    proxy = proxy_factory(folding_target.uri)
    args = ("run", fresh_source.uri, proxy.uri, "--experiments", "twins", "--models", name)
    lost = {
        "experiment": ["tag team"],
        "run": ["metric auc", "param lr", "tag team"],
        "logged model": ["param lr", "tag team"],
        "registered model": ["tag team"],
        "model version": ["alias best", "tag team", "tag team"],
    }
    for writes in (True, False):
        proxy.clear()
        report = ended(typed, *args, code=3)
        assert report["failures"] == []
        assert {
            kind: sorted(loss["what"] for loss in report["losses"] if loss["kind"] == kind)
            for kind in lost
        } == lost
        assert bool(proxy.writes()) is writes
    (copy,) = found_in(folding_target.uri, "twins")
    assert {p["key"]: p["value"] for p in copy["data"]["params"]} == {"LR": "2", "keep": "3"}
    assert {"AUC", "loss"} == {metric["key"] for metric in copy["data"]["metrics"]}
    verified = ended(typed, "verify", *args[1:], code=0)
    assert {loss["what"] for loss in verified["declared"]} == {
        what for of_kind in lost.values() for what in of_kind
    }


def rename_behind(server: TrackingServerProcess, old: str, new: str) -> None:
    """Give a model a name that the server refuses now, and that an older version took."""
    with closing(sqlite3.connect(server.directory / "mlflow.db", timeout=30)) as database, database:
        tables = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        for table, sql in tables.fetchall():
            if table.startswith(("registered_model", "model_version")) and "name VARCHAR" in sql:
                database.execute(f"UPDATE {table} SET name = ? WHERE name = ?", (new, old))


#: What other tests have left on these servers.
OTHERS = {*TWINS, "twin parts"}
#: The target refuses the first of them, and takes the others.
REFUSED_NAMES = ("a:b", "team/wine", "x/../y", "m:" + 300 * "n")
ODD_NAMES = (*REFUSED_NAMES, "50%2Foff", " edges ", 300 * "n")


@pytest.mark.thorough
def test_a_name_the_target_refuses_fails_by_itself_and_can_be_renamed(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
) -> None:
    with ModelSource(fresh_source.uri) as source:
        for name in ("plain", *(f"odd{place}" for place in range(len(ODD_NAMES)))):
            source.registered(name)
            source.version(name, f"s3://bucket/{name}")
        prompt = {"mlflow.prompt.is_prompt": "true"}
        source.registered("odd prompt", tags=prompt)
        source.version(
            "odd prompt", "dummy-source", tags={**prompt, "mlflow.prompt.text": "Hi {{ x }}"}
        )
    rename_behind(fresh_source, "odd prompt", "odd:prompt")
    for place, name in enumerate(ODD_NAMES):
        rename_behind(fresh_source, f"odd{place}", name)
    args = ("run", fresh_source.uri, fresh_target.uri)
    report = ended(typed, *args, code=3)
    failed = {failure["id"]: failure for failure in report["failures"]}
    refused = (*REFUSED_NAMES, "odd:prompt")
    assert failed.keys() >= set(refused)
    assert all("--model-rename-file" in failed[name]["hint"] for name in refused)
    taken = {name: 1 for name in ("plain", *ODD_NAMES) if name not in refused}
    assert _others_than(OTHERS, models_on(fresh_target.uri)) == taken

    rules = "".join(f"{name},odd {place}\n" for place, name in enumerate(refused))
    (tmp_path / "models.csv").write_text(rules)
    renames = ("--model-rename-file", tmp_path / "models.csv")
    typed(*args, *renames)
    # Prompts are told apart by a search of their own.
    others = {f"odd {place}": 1 for place in range(len(REFUSED_NAMES))}
    assert _others_than(OTHERS, models_on(fresh_target.uri)) == taken | others
    typed("verify", *args[1:], *renames)


def _others_than(names: set[str], found: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in found.items() if name not in names}


@pytest.mark.thorough
def test_a_registered_model_with_an_empty_name_fails_and_all_others_are_copied(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
) -> None:
    with ModelSource(fresh_source.uri) as source:
        for name in ("nameless", "named"):
            source.registered(name)
            source.version(name, f"s3://bucket/{name}")
    rename_behind(fresh_source, "nameless", "")
    report = ended(typed, "run", fresh_source.uri, fresh_target.uri, code=3)
    said = json.dumps([report["failures"], report["unknown"]])
    assert "name is ''" in said or "no id" in said, said
    assert models_on(fresh_target.uri)["named"] == 1
    assert "" not in models_on(fresh_target.uri)
