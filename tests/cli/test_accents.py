"""Names that differ in accents or blanks, on targets and registries that leave these out."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.addresses import Address, open_target
from migrate.folding import ANY_FOLDING, NO_FOLDING, Folding
from tests.cli.conftest import Typed
from tests.cli.test_spellings import collate, ended, models_on
from tests.conftest import ServerFactory
from tests.seed_models import ModelSource

TWINS = {"Team": "1", "team": "2", "other": "3"}
#: What the interpreter of a server imports at its start: compares texts as MySQL's collation
#: utf8mb4_general_ci does, without case, accents and blanks at the end.
COLLATION = """
import sqlite3
import unicodedata


def plain(text):
    apart = unicodedata.normalize("NFKD", text)
    return "".join(it for it in apart if not unicodedata.combining(it)).casefold().rstrip(" ")


def compare(one, other):
    return (plain(one) > plain(other)) - (plain(one) < plain(other))


class Connection(sqlite3.Connection):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.create_collation("GENERAL_CI", compare)


def connect(*args, _connect=sqlite3.connect, **options):
    return _connect(*args, **{"factory": Connection, **options})


sqlite3.connect = sqlite3.dbapi2.connect = connect
"""


@pytest.fixture(scope="module")
def without_accents(
    server_factory: ServerFactory, tmp_path_factory: pytest.TempPathFactory
) -> TrackingServerProcess:
    """A server whose database leaves out accents and blanks at the end too, as MySQL's do."""
    startup = tmp_path_factory.mktemp("startup")
    (startup / "sitecustomize.py").write_text(COLLATION)
    server = server_factory(environment={"PYTHONPATH": str(startup)})
    of_collation: dict[str, Any] = {}
    exec(COLLATION.partition("class")[0], of_collation)
    collate(server, startup, "GENERAL_CI", of_collation["compare"])
    return server


def folding_of(address: Address) -> tuple[Folding, Folding]:
    with closing(open_target(address)) as opened:
        can = opened.capabilities()
        return can.folding, can.registry_folding


@pytest.mark.thorough
def test_what_a_database_leaves_out_is_asked_of_it_and_of_a_registry_apart(
    target_server: TrackingServerProcess, without_accents: TrackingServerProcess
) -> None:
    plain, folding = target_server.uri, without_accents.uri
    target = Address(uri=plain, side="target", workers=2)
    assert folding_of(target) == (NO_FOLDING, NO_FOLDING)
    assert folding_of(replace(target, uri=folding)) == (ANY_FOLDING, ANY_FOLDING)
    assert folding_of(replace(target, registry_uri=folding)) == (NO_FOLDING, ANY_FOLDING)
    apart = replace(target, uri=folding, registry_uri=plain)
    assert folding_of(apart) == (ANY_FOLDING, NO_FOLDING)
    # Of a source nothing is asked: it has what it has.
    assert folding_of(replace(target, uri=folding, side="source")) == (NO_FOLDING, NO_FOLDING)


@pytest.mark.thorough
def test_names_that_differ_in_accents_fail_by_name_on_a_target_that_leaves_them_out(
    typed: Typed, fresh_source: TrackingServerProcess, without_accents: TrackingServerProcess
) -> None:
    spellings = {"M\u00fcller", "Muller", "Muller "}
    with ModelSource(fresh_source.uri) as source:
        tags = {"caf\u00e9": "1", "cafe": "2", "cafe ": "3"}
        for name in spellings:
            run = source.run("a", source.experiment(name, tags=tags), tags=tags)
            source.params(run, tags)
            source.registered(name, tags=tags)
            source.version(name, f"s3://bucket/{name}", tags=tags)
    args = (fresh_source.uri, without_accents.uri)
    chosen = ("--experiments", "M*", "--models", "M*")
    plan = typed("plan", *args, *chosen).stdout
    assert plan.count("'Muller ', 'Muller', 'M\u00fcller' differ in case, accents or spaces") == 2
    for _ in range(2):
        report = ended(typed, "run", *args, *chosen, code=3)
        failed = [failure for failure in report["failures"] if failure["hint"]]
        assert len({failure["name"] for failure in failed if "model" in failure["kind"]}) == 2
        assert len(failed) == 4
        assert all("in another spelling" in failure["error"] for failure in failed)
        lost = {(loss["kind"], loss["what"]) for loss in report["losses"]}
        kinds = ("experiment", "run", "registered model", "model version")
        assert lost >= {
            (kind, f"tag {key}") for kind in kinds for key in ("cafe ", "caf\u00e9")
        } | {("run", "param cafe "), ("run", "param caf\u00e9")}
        there = models_on(without_accents.uri)
        assert len(there) == 1
        assert there.keys() <= spellings


@pytest.mark.thorough
def test_a_registry_apart_that_folds_costs_what_is_in_it_and_nothing_of_runs(
    typed: Typed,
    fresh_source: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    without_accents: TrackingServerProcess,
) -> None:
    with ModelSource(fresh_source.uri) as source:
        source.run("a", source.experiment("apart", tags=TWINS), tags=TWINS)
        name = source.registered("apart", tags=TWINS)
        for alias in ("Best", "best"):
            source.alias(name, alias, source.version(name, "s3://bucket/x"))
    registry = ("--target-registry-uri", without_accents.uri)
    chosen = ("--experiments", "apart", "--models", "apart")
    ends = (fresh_source.uri, fresh_target.uri)
    report = ended(typed, "run", *ends, *registry, *chosen, code=3)
    lost = sorted((loss["kind"], loss["what"]) for loss in report["losses"])
    assert lost == [("model version", "alias best"), ("registered model", "tag team")]
    assert ended(typed, "verify", *ends, *registry, *chosen, code=0)["differences"] == []
