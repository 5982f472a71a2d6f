"""``migrate run --repair``: copies that were changed behind its back, on servers and in exports."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from migrate.demo.server import TrackingServerProcess
from migrate.origins import MARK
from tests.conftest import ProxyFactory, StartMigrate
from tests.faults import Faults, lose_response, on_nth
from tests.verify.damages import (
    CONTENT,
    Copies,
    Ended,
    damage,
    damage_for_good,
    declared_in,
    flip,
    found_in,
    migrate,
    seed,
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def originals(fresh_source: TrackingServerProcess) -> dict[str, str]:
    return seed(fresh_source.uri)


class World:
    """Migrations of the one source to a target, by commands in this process."""

    def __init__(self, source: str, target: str, directory: Path) -> None:
        self.ends = (source, target)
        self._state = ("--state", directory / "state.db")

    def run(self, *options: str) -> Ended:
        args = ("--include-deleted", "--json", *options)
        return migrate("run", *self.ends, *args, *self._state)

    def plan(self, *options: str) -> Ended:
        return migrate("plan", *self.ends, "--include-deleted", *options, *self._state)

    def verify(self, *options: str) -> Ended:
        options = options or ("--contents", "--json")
        return migrate("verify", *self.ends, "--include-deleted", *options)


def test_what_was_changed_on_a_server_is_as_it_was_and_then_nothing_is_written(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    world = World(fresh_source.uri, proxy.uri, tmp_path)
    assert world.run().code == 0
    proxy.clear()
    assert world.run("--repair").code == 0
    assert proxy.writes() == [], "an undamaged target is not written to"

    damaged = damage(Copies(fresh_target.uri, fresh_target.directory / "artifacts", originals))
    assert found_in(world.verify()) == damaged
    assert world.run("--repair").code == 0
    verified = world.verify()
    assert (found_in(verified), declared_in(verified)) == (set(), set())
    proxy.clear()
    assert world.run("--repair").code == 0
    assert proxy.writes() == []


@pytest.mark.thorough
def test_a_copy_without_its_mark_is_half_made_and_is_completed(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
) -> None:
    world = World(fresh_source.uri, fresh_target.uri, tmp_path)
    assert world.run().code == 0
    copies = Copies(fresh_target.uri, fresh_target.directory / "artifacts", originals)
    run, model = copies.ids["whole"], copies.ids["model"]
    copies.send("POST", "runs/delete-tag", run_id=run, key=MARK)
    copies.send("DELETE", f"logged-models/{model}/tags/{MARK}")
    verified = world.verify()
    assert verified.code == 3
    assert found_in(verified) == {("run", "mark"), ("logged model", "mark")}
    assert world.run("--repair").code == 0
    assert world.verify().code == 0


@pytest.mark.thorough
def test_what_no_client_can_take_back_is_a_loss_by_name_and_known_from_then_on(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    world = World(fresh_source.uri, proxy.uri, tmp_path)
    world.run()
    copies = Copies(fresh_target.uri, fresh_target.directory / "artifacts", originals)
    lasting = damage_for_good(copies)
    assert found_in(world.verify()) == lasting
    repaired = world.run("--repair")
    assert repaired.code == 3
    assert {(it["kind"], it["what"]) for it in repaired.json["losses"]} == lasting
    verified = world.verify()
    assert (found_in(verified), declared_in(verified)) == (set(), lasting)
    proxy.clear()
    again = world.run("--repair")
    assert again.code == 3
    assert {(it["kind"], it["what"]) for it in again.json["losses"]} == lasting
    assert proxy.writes() == []


def test_an_export_is_as_it_was_and_then_not_one_file_is_touched(
    fresh_source: TrackingServerProcess, originals: dict[str, str], tmp_path: Path
) -> None:
    export = tmp_path / "export"
    world = World(fresh_source.uri, str(export), tmp_path)
    assert world.run().code == 0
    before = stamps(export)
    assert world.run("--repair").code == 0
    assert stamps(export) == before, "an undamaged export is not written to"

    damaged = damage_export(export, originals)
    assert found_in(world.verify()) == damaged
    assert world.run("--repair").code == 0
    assert found_in(world.verify()) == set()
    before = stamps(export)
    assert world.run("--repair").code == 0
    assert stamps(export) == before


@pytest.mark.thorough
def test_a_repair_that_is_killed_goes_on_and_ends_as_if_it_was_not(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    start_migrate: StartMigrate,
    tmp_path: Path,
) -> None:
    proxy = proxy_factory(fresh_target.uri)
    world = World(fresh_source.uri, proxy.uri, tmp_path)
    world.run()
    copies = Copies(fresh_target.uri, fresh_target.directory / "artifacts", originals)
    lasting = damage_for_good(copies)
    damage(copies)
    killed = []
    state = ("--state", tmp_path / "state.db")
    for match in (("PUT", "weights"), ("POST", "runs/update$"), ("POST", "set-tag$")):
        args = ("run", "--resume") if killed else ("run", *world.ends, "--include-deleted")
        process = start_migrate(*args, *(() if killed else ("--repair",)), *state)
        kill = lose_response(lambda running=process: running.signal_group(signal.SIGKILL))
        proxy.faults = Faults(on_nth(match, 1, kill))
        killed.append(process.wait(100) == -signal.SIGKILL)
        proxy.faults = Faults()
    assert any(killed)
    assert migrate("run", "--resume", *state).code == 3
    verified = world.verify()
    assert (found_in(verified), declared_in(verified)) == (set(), lasting)


@pytest.mark.parametrize(
    "path", ["weights.bin", pytest.param("deep/er/notes.txt", marks=pytest.mark.thorough)]
)
def test_a_changed_bit_in_an_export_is_named_and_not_imported(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    tmp_path: Path,
    path: str,
) -> None:
    export = tmp_path / "export"
    World(fresh_source.uri, str(export), tmp_path).run()
    damaged = next(export.rglob(f"{originals['whole']}/artifacts/{path}"))
    flip(damaged)
    proxy = proxy_factory(fresh_target.uri)
    world = World(str(export), proxy.uri, tmp_path)
    for writes in (True, False):
        proxy.clear()
        imported = world.run()
        assert imported.code == 3
        (loss,) = imported.json["losses"]
        assert (loss["kind"], loss["id"]) == ("run", originals["whole"])
        assert loss["what"] == f"artifact {path}"
        assert "is not what was exported" in loss["reason"]
        assert str(export) not in loss["reason"]
        assert bool(proxy.writes()) is writes, "the second time there is nothing to write"
    copies = Copies(fresh_target.uri, fresh_target.directory / "artifacts", originals)
    assert not copies.file("whole", path).exists()
    assert copies.file("whole", "gone.txt").read_bytes() == CONTENT
    flip(damaged)
    assert world.run().code == 0
    assert copies.file("whole", path).read_bytes() == CONTENT


def test_an_export_without_digests_is_imported_whole_and_a_copy_of_one_with_is_compared_by_them(
    fresh_source: TrackingServerProcess,
    originals: dict[str, str],
    fresh_target: TrackingServerProcess,
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    World(fresh_source.uri, str(first), tmp_path).run()
    world = World(str(first), str(second), tmp_path)
    assert world.run().code == 0
    sidecars = list(second.rglob("migrate.json"))
    recorded = [
        file["sha256"] for it in sidecars for file in json.loads(it.read_text())["artifacts"]
    ]
    assert sha256(CONTENT).hexdigest() in recorded
    changed = second.rglob(f"{originals['whole']}/migrate.json")
    edit(next(changed), lambda it: it["artifacts"][0].update(sha256="0" * 64))
    assert found_in(world.verify("--json")) == {("run", "artifact deep/er/notes.txt")}
    for sidecar in sidecars:
        edit(sidecar, lambda it: [file.pop("sha256") for file in it["artifacts"]])
    assert found_in(world.verify()) == set()
    assert World(str(second), fresh_target.uri, tmp_path).run().code == 0


def stamps(directory: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of every file but the indexes, which each run dates anew."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file() and ({"runs", "logged_models", "versions"} & set(path.parts))
    }


def damage_export(export: Path, originals: dict[str, str]) -> set[tuple[str, str]]:
    """Change an export by hand, with no regard for what can be changed back."""
    whole = next(export.rglob(f"runs/{originals['whole']}"))
    flip(whole / "artifacts" / "weights.bin")
    (whole / "artifacts" / "gone.txt").unlink()
    (whole / "artifacts" / "added.txt").write_bytes(b"added")
    record = whole / "run.json"
    text = record.read_text().replace('"0.1"', '"0.2"').replace('"as it was"', '"as it is"')
    record.write_text(text.replace('"user_id": "ada"', '"user_id": "eve"'))
    model = next(export.rglob(f"logged_models/{originals['model']}"))
    flip(model / "artifacts" / "model.bin")
    record = model / "logged_model.json"
    record.write_text(record.read_text().replace('"of"', '"fo"'))
    version = next(export.rglob("churn/versions/2.json"))
    version.write_text(version.read_text().replace("version 2", "version 9"))
    edit(next(export.rglob("churn/model.json")), _change_model)
    experiment = next(export.rglob(f"{originals['kept']}/experiment.json"))
    edit(experiment, lambda it: it["mlflow"]["experiment"]["tags"].update(team="beer", own="1"))
    return {
        *(("run", f"artifact {path}") for path in ("weights.bin", "gone.txt", "added.txt")),
        *(("run", what) for what in ("param lr", "tag note", "user id")),
        *(("logged model", what) for what in ("tag of", "tag fo", "artifact model.bin")),
        *(("model version", what) for what in ("description", "alias champion", "alias added")),
        ("registered model", "description"),
        ("registered model", "tag own"),
        *(("experiment", f"tag {key}") for key in ("team", "own")),
    }


def _change_model(document: Any) -> None:
    model = document["mlflow"]["registered_model"]
    model["description"] = "somebody"
    tags, aliases = model["tags"], model["aliases"]
    tags.update(own="1") if isinstance(tags, dict) else tags.append({"key": "own", "value": "1"})
    for alias in aliases:
        if alias["alias"] == "champion":
            alias["alias"] = "added"


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file by hand."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
