"""Every route that is used answers with nothing of use, one after the other, on either side.

The routes are those of a whole migration and a comparison, and of the commands that export and
import, as they are used. Each answers 404, 403, 500, an empty object and a web page, for as long
as a command takes. However it ends: whoever is told that nothing is lost has everything; whoever
runs it again, when all answers, has each object once; and an empty target is never told to be
equal. ``ROUTE_TABLE=FILE`` writes down how each ended.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from migrate import scheduler
from migrate.demo.server import TrackingServerProcess, copy_database
from tests.bulk.alike import contents
from tests.commands import app
from tests.comparison import ORIGIN, Server, differences
from tests.comparison_models import compare_models
from tests.conftest import ProxyFactory, ServerFactory, empty_database_of
from tests.faults import Fault, Faults, Match, always, answer, answer_with
from tests.proxy import Exchange, Proxy
from tests.seed import START
from tests.seed_models import ModelSource

PAGE = "<!doctype html><html><body>Welcome, please log in</body></html>"
ANSWERS: dict[str, Fault] = {
    "404": answer(404),
    "403": answer(403),
    "500": answer(500),
    "{}": answer_with("{}"),
    "page": answer_with(PAGE, content_type="text/html"),
}
#: Every so many pairs of a route and an answer are tried where there is little time.
SHARE = 40
RUNNER = CliRunner()
#: An exit code, and the last line that says something.
End = tuple[int, str]
_ID = re.compile(r"/(m-[0-9a-f]{32}|[0-9a-f]{32}|tr-[0-9a-f]{32})(?=/|$)")
_FILES = re.compile(r"(/mlflow-artifacts/artifacts)/.+")


class Route(NamedTuple):
    """A side, and a method and path by which that is asked, with ``*`` for ids and files."""

    side: str
    method: str
    path: str

    @property
    def match(self) -> Match:
        path = re.escape(self.path).replace(
            r"/\*", "/.+" if "artifacts/*" in self.path else "/[^/]+"
        )
        return self.method, f"^{path}$"


def route_of(side: str, request: Exchange) -> Route:
    path = _FILES.sub(r"\1/*", _ID.sub("/*", request.path))
    return Route(side, request.method, path)


@dataclass
class World:
    """Both ends behind proxies, and an empty target for every case."""

    source: Proxy
    target: Proxy
    server: TrackingServerProcess
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def empty(self) -> Path:
        """Empty the target; return a new place for a state."""
        copy_database(empty_database_of(self.server), self.server.directory / "mlflow.db")
        shutil.rmtree(self.server.directory / "artifacts", ignore_errors=True)
        return self.folder / f"state-{next(self.numbers)}.db"

    def typed(self, command: str, state: Path) -> End:
        """Type a command of both ends; return what ``ended`` does."""
        return self.ended(command, self.source.uri, self.target.uri, "--state", state)

    def ended(self, *arguments: str | Path) -> End:
        """Type a command; return its exit code and the last line that says something."""
        words = [str(it) for it in arguments]
        result = RUNNER.invoke(app, words, prog_name="migrate")
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert "this is a defect" not in result.output, result.output
        assert "Traceback" not in result.output, result.output
        lines = [line for line in result.output.splitlines() if line.strip()]
        return result.exit_code, lines[-1] if lines else ""

    def apart(self) -> list[str]:
        """In what the target is no whole copy of the source, each object once."""
        source, target = self.source.upstream.geturl(), self.server.uri
        found = differences(source, target)
        with Server(target) as reading:
            ids = [one["experiment_id"] for one in reading.experiments().values()]
            runs = {
                tag["value"]: run["info"]["run_id"]
                for run in reading.runs(*ids)
                for tag in run["data"].get("tags", ())
                if tag["key"] == ORIGIN
            }
        return found + compare_models(source, target, runs)


@pytest.fixture(scope="module")
def seeded(server_factory: ServerFactory) -> TrackingServerProcess:
    """A source with one of each: runs with files, a logged model, versions, a prompt."""
    server = server_factory()
    with ModelSource(server.uri) as source:
        experiment = source.experiment("work", tags={"team": "risk"})
        for label in ("one", "two"):
            run_id = source.run(label, experiment, tags={"stage": "dev"})
            source.params(run_id, {"depth": "3"})
            source.metrics(run_id, [("loss", 0.5, START, 0), ("loss", 0.25, START + 1, 1)])
            source.artifact(run_id, "plots/a.txt", label.encode())
        source.logged_model("made", experiment, tags={"team": "risk"})
        name = source.registered("wine", description="of grapes", tags={"team": "risk"})
        source.version(name, f"runs:/{run_id}/plots", run_id=run_id)
        source.version(name, "s3://bucket/x", tags={"team": "risk"})
        source.alias(name, "champion", 2)
        source.stage(name, 1, "Production")
    return server


@pytest.fixture
def world(
    seeded: TrackingServerProcess,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    pause = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: pause(min(seconds, 0.01)))
    monkeypatch.setattr(scheduler, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(scheduler, "LONGEST_PAUSE", 0.02)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    source, target = proxy_factory(seeded.uri), proxy_factory(fresh_target.uri)
    return World(source, target, fresh_target, tmp_path)


def routes_used(world: World) -> list[Route]:
    """Every route of a migration, one more that finds all there, and a comparison."""
    state = world.empty()
    assert world.typed("run", state)[0] == 0
    assert world.apart() == []
    assert world.typed("run", state)[0] == 0
    assert world.typed("verify", state)[0] == 0
    used = {route_of("source", one) for one in world.source.requests}
    used |= {route_of("target", one) for one in world.target.requests}
    return sorted(used)


def tried(world: World, route: Route, fault: str) -> str:
    """Have a route answer that way while a migration runs, then run it again; say how it ended."""
    state = world.empty()
    side = world.source if route.side == "source" else world.target
    side.faults = Faults(always(route.match, ANSWERS[fault]))
    compared, _ = world.typed("verify", state)
    code, last = world.typed("run", state)
    side.faults = Faults()
    apart = world.apart() if code == 0 else []
    again, last_again = world.typed("run", state)
    apart_again = world.apart()
    doubled = [line for line in apart_again if re.search(r"\b[2-9] copies|twice", line)]
    where = f"{route.side} {route.method} {route.path} answers {fault}"
    assert compared != 0, f"{where}: an empty target is said to be equal"
    assert code != 0 or apart == [], f"{where}: {last}: {apart}"
    assert "nothing lost" not in last or code == 0, f"{where}: {last}"
    assert doubled == [], f"{where}: {doubled}"
    assert again != 0 or apart_again == [], f"{where}, then nothing: {last_again}: {apart_again}"
    return f"{code} | {last[:110]} | {again} | {'' if again == 0 else last_again[:80]}"


#: The commands that export and those that import what they wrote, with what each is to take.
EXPORTS = (
    ("export-all",),
    ("export-models", "--models", "all"),
    ("export-experiments", "--experiments", "all"),
)
IMPORTS = ("import-all", "import-models", "import-experiments")


@dataclass
class Carried:
    """Exports and imports of a world's source by one pair of the six commands after another."""

    world: World
    #: By the name of a command: an export of it, made when every route answered.
    whole: dict[str, Path] = field(default_factory=dict)
    turn: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(len(EXPORTS))))

    def export(self, nth: int, folder: Path) -> End:
        command, *chosen = EXPORTS[nth]
        words = (*chosen, "--source", self.world.source.uri, "--output-dir", folder)
        return self.world.ended(command, *words)

    def import_(self, nth: int) -> End:
        words = ("--target", self.world.target.uri, "--input-dir", self.whole_of(nth))
        return self.world.ended(IMPORTS[nth], *words)

    def whole_of(self, nth: int) -> Path:
        """Return an export that nothing disturbed."""
        command = EXPORTS[nth][0]
        if command not in self.whole:
            self.whole[command] = self.world.folder / f"whole-{command}"
            assert self.export(nth, self.whole[command])[0] == 0
        return self.whole[command]

    def routes_used(self) -> list[Route]:
        """Every route of the six commands."""
        world, used = self.world, set()
        for nth in range(len(EXPORTS)):
            world.empty()
            world.source.clear()
            world.target.clear()
            self.whole_of(nth)
            assert self.import_(nth)[0] == 0
            used |= {route_of("source", one) for one in world.source.requests}
            used |= {route_of("target", one) for one in world.target.requests}
        return sorted(used)

    def tried(self, route: Route, fault: str) -> str:
        """Have a route answer that way while one of the commands runs; say how it ended."""
        nth = next(self.turn)
        where = f"{EXPORTS[nth][0]}, {route.side} {route.method} {route.path} answers {fault}"
        ended = self._exported if route.side == "source" else self._imported
        (code, last), (again, last_again) = ended(nth, route, fault, where)
        command = EXPORTS[nth][0] if route.side == "source" else IMPORTS[nth]
        told = "" if again == 0 else last_again[:80]
        return f"{command} {code} | {last[:110]} | {again} | {told}"

    def _exported(self, nth: int, route: Route, fault: str, where: str) -> tuple[End, End]:
        world, whole = self.world, contents(self.whole_of(nth))
        folder = world.folder / f"export-{next(world.numbers)}"
        world.source.faults = Faults(always(route.match, ANSWERS[fault]))
        first = self.export(nth, folder)
        world.source.faults = Faults()
        found = contents(folder) if first[0] == 0 else whole
        assert found == whole, f"{where}: {first[1]}: {sorted(found.items() ^ whole.items())}"
        again = self.export(nth, folder)
        assert again[0] == 0, f"{where}, then nothing: {again[1]}"
        found = contents(folder)
        assert found == whole, f"{where}, then nothing: {sorted(found.items() ^ whole.items())}"
        return first, again

    def _imported(self, nth: int, route: Route, fault: str, where: str) -> tuple[End, End]:
        world = self.world
        world.empty()
        self.whole_of(nth)
        world.target.faults = Faults(always(route.match, ANSWERS[fault]))
        first = self.import_(nth)
        world.target.faults = Faults()
        world.target.clear()
        again = self.import_(nth)
        late = [f"{one.method} {one.path}" for one in world.target.writes()]
        assert first[0] != 0 or late == [], f"{where}: {first[1]}: {late}"
        world.target.clear()
        rest = self.import_(nth)
        late = [f"{one.method} {one.path}" for one in world.target.writes()]
        assert again[0] != 0 or (rest[0], late) == (0, []), f"{where}, then nothing: {late}"
        doubled = [line for line in world.apart() if re.search(r"\b[2-9] copies|twice", line)]
        assert doubled == [], f"{where}: {doubled}"
        return first, again


def all_of(world: World, share: int, *, carried: bool = False) -> None:
    lines, failed = [], []
    way = Carried(world) if carried else None
    routes = way.routes_used() if way else routes_used(world)
    pairs = list(itertools.product(routes, ANSWERS))
    for route, fault in pairs[3::share] if share > 1 else pairs:
        try:
            how = way.tried(route, fault) if way else tried(world, route, fault)
        except AssertionError as problem:
            how = "**wrong**"
            failed.append(str(problem).split("\nassert ")[0])
        finally:
            world.source.faults = world.target.faults = Faults()
        lines.append(f"| {route.side} | {route.method} {route.path} | {fault} | {how} |")
        if place := os.environ.get("ROUTE_TABLE"):
            Path(place).write_text("\n".join(lines) + "\n" + "\n".join(failed) + "\n")
    assert failed == []
    assert lines


@pytest.mark.thorough
def test_a_route_that_gives_nothing_of_use_loses_and_doubles_nothing_unsaid(world: World) -> None:
    all_of(world, SHARE)


@pytest.mark.thorough
@pytest.mark.timeout(6000)
def test_none_of_all_routes_loses_or_doubles_anything_unsaid(world: World) -> None:
    all_of(world, 1)


@pytest.mark.thorough
@pytest.mark.timeout(6000)
def test_nor_do_the_commands_that_export_and_import(world: World) -> None:
    all_of(world, 1, carried=True)
