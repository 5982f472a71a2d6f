"""Whatever is broken in a file store costs one object at most, and is named."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from migrate.endpoints.artifacts.locations import Roots
from migrate.endpoints.filestore import FileStoreSource
from migrate.endpoints.stores import traces_of
from migrate.errors import EndpointError, NotPermitted
from migrate.kinds import Kind, Ref, experiment_ref, logged_model_ref, run_ref
from migrate.objects import ArtifactRoot, Run
from migrate.tasks.histories import with_histories
from tests.endpoints.filestores import OLD_ROOT, listing, manifest, opened, unpacked

NOTED = manifest("3.8.1")
ALPHA = NOTED["experiments"]["alpha"]["id"]
BETA = NOTED["experiments"]["beta/with slash"]["id"]
GONE = NOTED["experiments"]["gone"]["id"]
RUN = NOTED["runs"]["full"]["id"]
CHILD = NOTED["runs"]["child"]["id"]
MODEL = NOTED["logged_models"]["lmA"]["id"]
RUN_PATH, MODEL_PATH = f"{ALPHA}/{RUN}", f"{ALPHA}/models/{MODEL}"
TRACE = Ref(Kind.TRACE, "tr-a5810b7b0688c8b6ebaa7953913e59fd")
TRACE_PATH = f"{ALPHA}/traces/{TRACE.id}"
ASSESSMENT = f"{TRACE_PATH}/assessments/a-c256b5d899f046e38a2e66eeb557e712.yaml"
LOSS = f"{RUN_PATH}/metrics/loss"

Damage = Callable[[Path], None]


def at(place: str, damage: Damage) -> Damage:
    """Do a damage at a place of the store."""
    return lambda root: damage(root / place)


def says(content: str | bytes) -> Damage:
    """Have a file say this."""
    content = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(content) and None


def instead(old: str, new: str) -> Damage:
    """Have a file say something else in one place."""

    def damage(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return damage


def added(line: str | bytes) -> Damage:
    """Have a file say something more."""
    line = line.encode() if isinstance(line, str) else line
    return lambda path: path.write_bytes(path.read_bytes() + line) and None


def cut_to(size: int) -> Damage:
    """Cut a file off, or make it as long with nothing in it."""
    return lambda path: os.truncate(path, size)


def _gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _file(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.write_text("x")


def link_to(target: str) -> Damage:
    """Put a link in the place of a file or folder."""

    def damage(path: Path) -> None:
        _gone(path)
        path.symlink_to(target)

    return damage


META = f"{RUN_PATH}/meta.yaml"
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
VERSION = "models/modelA/version-3"
_VERSION_3 = Ref(Kind.MODEL_VERSION, "modelA/3")
_MODEL_A = Ref(Kind.REGISTERED_MODEL, "modelA")

#: Damages that cost an object, which one, and what is said of it.
COSTS_IT: dict[str, tuple[Damage, Ref, str]] = {
    "no file of a run": (at(META, _gone), run_ref(RUN), "is missing"),
    "an empty one": (at(META, cut_to(0)), run_ref(RUN), "is empty"),
    "zeros": (at(META, says(bytes(300))), run_ref(RUN), "is not valid YAML"),
    "cut off in a word": (at(META, cut_to(30)), run_ref(RUN), "holds no YAML mapping|is missing"),
    "cut off between lines": (
        at(META, instead("status: 3", "")),
        run_ref(RUN),
        "status is missing",
    ),
    "a list": (at(META, says("- a\n- b\n")), run_ref(RUN), "holds no YAML mapping"),
    "no YAML": (at(META, says("artifact_uri: [unclosed")), run_ref(RUN), "is not valid YAML"),
    "no UTF-8": (at(META, added(b"note: \xff\n")), run_ref(RUN), "is not valid YAML"),
    "much of little": (at(META, says(BOMB)), run_ref(RUN), "alias"),
    "a tag of Python": (
        at(META, says("a: !!python/object/apply:os.system ['touch hacked']")),
        run_ref(RUN),
        "is not valid YAML",
    ),
    "too deep": (at(META, says("[" * 100_000)), run_ref(RUN), "is not valid YAML"),
    "too long": (at(META, cut_to(33 << 20)), run_ref(RUN), "is longer than"),
    "a link": (at(META, link_to("/etc/hostname")), run_ref(RUN), "symbolic link"),
    "a link around": (at(META, link_to("meta.yaml")), run_ref(RUN), "symbolic link"),
    "a pipe": (at(META, _pipe), run_ref(RUN), "not a regular file"),
    "a folder": (at(META, _folder), run_ref(RUN), "not a regular file"),
    "no status": (at(META, instead("status: 3", "status: 77")), run_ref(RUN), "77"),
    "no number": (
        at(META, instead("start_time: 1700000000000", "start_time: soon")),
        run_ref(RUN),
        "start_time",
    ),
    "beyond 64 bits": (
        at(META, instead("start_time: 17", "start_time: 1700000000000")),
        run_ref(RUN),
        "outside 64 bits",
    ),
    "no stage": (at(META, instead(": active", ": asleep")), run_ref(RUN), "asleep"),
    "another run's": (at(META, instead(f"run_id: {RUN}", f"run_id: {CHILD}")), run_ref(RUN), CHILD),
    "of another experiment": (at(META, instead(f"'{ALPHA}'", f"'{BETA}'")), run_ref(RUN), BETA),
    "no file of a logged model": (
        at(f"{MODEL_PATH}/meta.yaml", _gone),
        logged_model_ref(MODEL),
        "is missing",
    ),
    "no status of a logged model": (
        at(f"{MODEL_PATH}/meta.yaml", instead("status: 2", "status: 9")),
        logged_model_ref(MODEL),
        "status 9",
    ),
    "no file of a version": (at(f"{VERSION}/meta.yaml", _gone), _VERSION_3, "is missing"),
    "another number": (
        at(f"{VERSION}/meta.yaml", instead("version: 3", "version: 4")),
        _VERSION_3,
        "says that it is version 4",
    ),
    "no number of a version": (
        at(f"{VERSION}/meta.yaml", instead("version: 3", "version: x")),
        _VERSION_3,
        "version is 'x'",
    ),
    "no file of a trace": (at(f"{TRACE_PATH}/trace_info.yaml", _gone), TRACE, "is missing"),
    "no time of a trace": (
        at(f"{TRACE_PATH}/trace_info.yaml", instead("request_time: '2026", "request_time: '20x6")),
        TRACE,
        "is no time",
    ),
    "another trace's": (
        at(f"{TRACE_PATH}/trace_info.yaml", instead(f"trace_id: {TRACE.id}", "trace_id: tr-1")),
        TRACE,
        "tr-1",
    ),
    "a trace cut off": (
        at(f"{TRACE_PATH}/trace_info.yaml", instead("trace_location:", "trace_loc:")),
        TRACE,
        "experiment_id is missing",
    ),
    "another model's": (
        at("models/modelB empty/meta.yaml", instead("name: modelB empty", "name: modelA")),
        Ref(Kind.REGISTERED_MODEL, "modelB empty"),
        "modelA",
    ),
}

#: Damages that cost something of an object: which one, and of the loss its name and reason.
COSTS_SOME: dict[str, tuple[Damage, Ref, str, str]] = {
    "a line of a megabyte": (
        at(LOSS, added(b"9" * (1 << 20))),
        run_ref(RUN),
        "metric loss",
        "1 of",
    ),
    "such a line between": (
        at(LOSS, added(b"9" * (1 << 20) + b"\n1 2 x\n\n17 0.5 99\n")),
        run_ref(RUN),
        "metric loss",
        "2 of the lines",
    ),
    "a line without a step": (
        at(LOSS, added("1700000009999 0.5")),
        run_ref(RUN),
        "metric loss",
        "cut off",
    ),
    "a line of one word": (at(LOSS, added("17000")), run_ref(RUN), "metric loss", "cut off"),
    "words in a line": (at(LOSS, added("a b c\n")), run_ref(RUN), "metric loss", "no points"),
    "a metric that is a link": (
        at(LOSS, link_to("/etc/hostname")),
        run_ref(RUN),
        "metric loss",
        "symbolic link",
    ),
    "a metric that is a pipe": (at(LOSS, _pipe), run_ref(RUN), "metric loss", "regular file"),
    "a param that is a link": (
        at(f"{RUN_PATH}/params/lr", link_to("/etc/passwd")),
        run_ref(RUN),
        "param lr",
        "symbolic link",
    ),
    "params that are a link": (
        at(f"{RUN_PATH}/params", link_to("/etc")),
        run_ref(RUN),
        "folder params",
        "symbolic link",
    ),
    "params that are a file": (
        at(f"{RUN_PATH}/params", _file),
        run_ref(RUN),
        "folder params",
        "cannot be read",
    ),
    "a tag of 17 MB": (
        at(f"{RUN_PATH}/tags/note", cut_to(17 << 20)),
        run_ref(RUN),
        "tag note",
        "is longer than",
    ),
    "a tag of another encoding": (
        at(f"{RUN_PATH}/tags/note", says("größer".encode("latin-1"))),
        run_ref(RUN),
        "tag note",
        "no UTF-8",
    ),
    "a dataset that is gone": (
        at(f"{ALPHA}/datasets", _gone),
        run_ref(RUN),
        "dataset input",
        "is missing",
    ),
    "a model metric without a run": (
        at(f"{MODEL_PATH}/metrics/lm_acc", added("1700000000000 0.5 3\n")),
        logged_model_ref(MODEL),
        "metric lm_acc",
        "line 2",
    ),
    "an assessment cut off": (
        at(ASSESSMENT, instead("\nfeedback:", "\n?")),
        TRACE,
        "assessment a-c256b5d899f046e38a2e66eeb557e712.yaml",
        "is not valid YAML",
    ),
    "an assessment that is a link": (
        at(ASSESSMENT, link_to("/etc/hostname")),
        TRACE,
        "assessment a-c256b5d899f046e38a2e66eeb557e712.yaml",
        "symbolic link",
    ),
    "tags of an experiment that are a file": (
        at(f"{ALPHA}/tags", _file),
        experiment_ref(ALPHA),
        "folder tags",
        "cannot be read",
    ),
    "an alias of no version": (
        at("models/modelA/aliases/champion", says("77")),
        _MODEL_A,
        "alias champion",
        "'77', which is not there",
    ),
    "an alias of no number": (
        at("models/modelA/aliases/champion", says("../../../0")),
        _MODEL_A,
        "alias champion",
        "which is not there",
    ),
}


class Read(NamedTuple):
    """What is read of a store, by ref, and why the others cannot be."""

    records: dict[Ref, Any]
    broken: dict[Ref, str]

    def differing(self, other: Read) -> set[Ref]:
        """Return what is read otherwise, or not."""
        refs = self.records.keys() | other.records.keys()
        # As text: NaN is not equal to itself.
        return {it for it in refs if repr(self.records.get(it)) != repr(other.records.get(it))}


def read_all(source: FileStoreSource) -> Read:
    """Read what is in a store, with every point."""
    records: dict[Ref, Any] = {it.ref: it for it in source.experiments.list()}
    ids = [ref.id for ref in records]
    runs = list(source.runs.list(ids))
    for run, history in with_histories(source.runs, runs):
        assert not isinstance(history, EndpointError)
        assert not history.losses
        points = [*history.held, *(it for page in history.streamed() for it in page)]
        records[run.ref] = run, sorted(map(repr, points))
    records |= {it.ref: it for it in source.logged_models.list(ids)}
    models = list(source.registered_models.list())
    records |= {it.ref: it for it in models}
    records |= {it.ref: it for it in source.model_versions.list(models)}
    traces = traces_of(source)
    assert traces is not None
    records |= {it.ref: it for it in traces.list(ids)}
    return Read(records, {it.ref: it.message for it in source.unreadable.all()})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file store of its own."""
    return unpacked("3.8.1", tmp_path)


@pytest.mark.parametrize("name", COSTS_IT)
def test_what_is_broken_costs_itself(name: str, root: Path) -> None:
    damage, ref, words = COSTS_IT[name]
    whole = read_all(opened(root))
    assert whole.broken == {}
    damage(root)
    read = read_all(opened(root))
    assert {*read.broken} == {ref}
    assert any(word in read.broken[ref] for word in words.split("|"))
    assert read.broken[ref].count(str(root)) <= 1, "the place is said once"
    assert whole.differing(read) == {ref}
    assert not (root.parent / "hacked").exists()


@pytest.mark.parametrize("name", COSTS_SOME)
def test_what_is_broken_in_an_object_costs_itself(name: str, root: Path) -> None:
    damage, ref, what, why = COSTS_SOME[name]
    whole = read_all(opened(root))
    damage(root)
    read = read_all(opened(root))
    assert read.broken == {}
    assert whole.differing(read) <= {ref, *([_VERSION_3] if ref == _MODEL_A else [])}
    record = read.records[ref]
    [loss] = (record[0] if ref.kind is Kind.RUN else record).losses
    assert loss.what.startswith(what)
    assert why in loss.reason
    assert str(root) not in loss.reason, "nothing of this machine is written to a copy"
    assert "root:" not in repr(read)


def test_a_broken_line_costs_no_other_point(root: Path) -> None:
    whole = read_all(opened(root)).records[run_ref(RUN)]
    added("1 2 3 4 x\nrubbish\n")(root / LOSS)
    _, points = read_all(opened(root)).records[run_ref(RUN)]
    assert [it for it in points if it not in whole[1]] == [
        "Metric(key='loss', value=2.0, timestamp=1, step=3)"
    ]


def test_an_experiment_without_its_file_costs_what_is_in_it(root: Path) -> None:
    whole = read_all(opened(root))
    (root / ALPHA / "meta.yaml").unlink()
    read = read_all(opened(root))
    assert {*read.broken} == {experiment_ref(ALPHA)}
    inside = {it.ref for it in opened(root).runs.list([ALPHA])}
    models = {ref for ref in whole.records if ref.kind is Kind.LOGGED_MODEL}
    traces = {ref for ref in whole.records if ref.kind is Kind.TRACE}
    assert whole.differing(read) == {experiment_ref(ALPHA), *inside, *models, *traces}


def test_an_experiment_of_the_same_id_in_the_trash_is_named(root: Path) -> None:
    whole = read_all(opened(root))
    shutil.copytree(root / BETA, root / ".trash" / BETA)
    read = read_all(opened(root))
    assert {*read.broken} == {experiment_ref(f".trash/{BETA}")}
    assert not whole.differing(read)


def test_a_run_copied_by_hand_is_named(root: Path) -> None:
    whole = read_all(opened(root))
    shutil.copytree(root / RUN_PATH, root / ALPHA / ("e" * 32))
    read = read_all(opened(root))
    assert {*read.broken} == {run_ref("e" * 32)}
    assert not whole.differing(read)


def test_what_systems_leave_in_folders_is_passed_over(root: Path) -> None:
    whole = read_all(opened(root))
    for place in (
        root,
        *(it for it in root.rglob("*") if it.is_dir() and "artifacts" not in it.parts),
    ):
        for name in (".DS_Store", "._x", ".nfs0001", ".gitkeep", "Thumbs.db"):
            (place / name).write_bytes(b"\0\xff")
        for name in ("__pycache__", ".ipynb_checkpoints"):
            (place / name).mkdir()
            (place / name / "x.pyc").write_bytes(b"\0\xff")
    read = read_all(source := opened(root))
    assert read.broken == {}
    assert not whole.differing(read)
    assert source.capabilities().notes == ()


def test_what_else_is_beside_experiments_is_named_in_the_plan(root: Path) -> None:
    (root / "notes.txt").write_text("x")
    (root / "old\nstuff").mkdir()
    [note] = opened(root).capabilities().notes
    assert "'notes.txt', 'old\\nstuff'" in note


@pytest.mark.parametrize("name", ["back\\slash", "per%20cent", "größe", ".hidden", "-"])
def test_a_registered_model_of_an_odd_name_has_its_versions(name: str, root: Path) -> None:
    (root / "models/modelA").rename(root / "models" / name)
    for path in (root / "models" / name).rglob("meta.yaml"):
        path.write_text(path.read_text().replace("name: modelA", f"name: '{name}'"))
    source = opened(root)
    models = [*source.registered_models.list([name])]
    assert [it.name for it in models] == [name]
    numbers = [it.version for it in source.model_versions.list(models)]
    assert numbers == [1, 3, 4, 6]
    assert not source.unreadable.all()


def _moved_away(path: Path, elsewhere: Path) -> None:
    """Put a link in the place of a folder, to where it is then."""
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("name", [".trash", "models"])
def test_a_link_in_the_place_of_all_of_a_kind_ends_it(name: str, root: Path) -> None:
    _moved_away(root / name, root.parent / "elsewhere")
    with pytest.raises(EndpointError, match="symbolic link"):
        read_all(opened(root))


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        (ALPHA, experiment_ref(ALPHA)),
        (RUN_PATH, run_ref(RUN)),
        (f"{ALPHA}/models", logged_model_ref(f"{ALPHA}/models")),
    ],
)
def test_a_folder_that_is_a_link_is_not_followed(name: str, ref: Ref, root: Path) -> None:
    _moved_away(root / name, root.parent / "elsewhere")
    read = read_all(opened(root))
    assert {*read.broken} == {ref}
    assert "symbolic link" in read.broken[ref]
    assert ref not in read.records


BROKEN = manifest("broken")


def test_the_broken_sample_is_read_as_was_noted(tmp_path: Path) -> None:
    root = unpacked("broken", tmp_path)
    before = listing(root)
    read = read_all(opened(root))
    assert listing(root) == before
    runs = {ref.id: it for ref, it in read.records.items() if ref.kind is Kind.RUN}

    def run(name: str) -> tuple[Run, list[str]]:
        found: tuple[Run, list[str]] = runs[BROKEN["run_ids"][name]]
        return found

    assert {*BROKEN["run_ids"].values()} < {*runs}
    points = {name: len(run(name)[1]) for name in BROKEN["run_ids"]}
    assert points["duplicate metric lines"] == 2
    assert points["empty metric file"] == 1
    assert points["broken metric line"] == 1
    assert points["crlf and no newline"] == 2
    assert [it.losses != () for it in (run("broken metric line")[0], run("not utf-8")[0])] == [
        True,
        True,
    ]
    assert {it.step for it in run("old two-field lines")[0].latest_metrics} == {0}
    assert {it.step for it in run("five-field lines")[0].latest_metrics} == {7}
    assert run("text status and no names")[0].name == "from the tag"
    assert run("text status and no names")[0].lifecycle_stage == "active"
    assert {ref.id[-1] for ref in read.broken if ref.kind is Kind.RUN} == {"a", "b", "c"}
    assert {ref.id for ref in read.broken if ref.kind is Kind.EXPERIMENT} == {"2" * 18}
    assert {ref.id for ref in read.broken if ref.kind is Kind.MODEL_VERSION} == {"m one/2"}
    in_trash = runs["a0000000000000000000000000000011"][0]
    assert in_trash.lifecycle_stage == "deleted"


@pytest.mark.parametrize("name", ["relative uri", "windows uri", "moved uri", "fine"])
def test_files_of_the_broken_sample_are_found_beside_their_run(name: str, tmp_path: Path) -> None:
    source = opened(unpacked("broken", tmp_path))
    [run] = source.runs.read([BROKEN["run_ids"][name]])
    [file] = source.artifacts.list(place := ArtifactRoot(run.ref, run.artifact_uri))
    with source.artifacts.open(place, file) as stream:
        assert stream.read()


def test_files_outside_of_the_store_are_a_loss_with_what_to_do(root: Path) -> None:
    outside = root.parent / "outside"
    (outside / RUN / "artifacts").mkdir(parents=True)
    (outside / RUN / "artifacts/secret.txt").write_text("x")
    shutil.rmtree(root / RUN_PATH / "artifacts")
    source = opened(root)
    for location in (f"{outside}/{RUN}/artifacts", "/etc", f"{root}/../outside", "sftp://h/x"):
        with pytest.raises(NotPermitted) as raised:
            source.artifacts.list(ArtifactRoot(run_ref(RUN), location))
        assert "--source-artifacts" in raised.value.hint
    with pytest.raises(NotPermitted, match="behind the server"):
        source.artifacts.list(ArtifactRoot(run_ref(RUN), f"mlflow-artifacts:/{RUN_PATH}/artifacts"))


def test_a_link_among_files_is_not_followed(root: Path) -> None:
    (root / RUN_PATH / "artifacts/link").symlink_to("/etc/passwd")
    source = opened(root)
    [run] = source.runs.read([RUN])
    place = ArtifactRoot(run.ref, run.artifact_uri)
    [link] = [it for it in source.artifacts.list(place) if it.path == "link"]
    with pytest.raises(EndpointError, match="symbolic link"), source.artifacts.open(place, link):
        pass


def test_a_moved_store_without_any_files_is_doubted(root: Path) -> None:
    for folder in [*root.rglob("artifacts")]:
        shutil.rmtree(folder)
    source = opened(root)
    [told] = source.unknown()
    assert "/data/ml/mlruns" in told
    assert "--source-artifacts" in told


#: What may stand in a file by chance, or by somebody's hand.
ODDITIES = (b"\0", b"&a *a", b"!!x", b"\n- ", b"{", b"nan", b"1e999", b"9" * 30, b"\xff\xfe", b"[]")
VALUES = (b"null", b"[]", b"{}", b"1.5", b"-3", b"2024-01-01", b"true", b"9" * 30, b'"\\ud800"')


@pytest.mark.parametrize("seed", range(3))
def test_what_is_broken_by_chance_ends_no_reading(seed: int, root: Path) -> None:
    draw = random.Random(seed)
    files = [it for it in root.rglob("*") if it.is_file() and "artifacts" not in it.parts]
    for _ in range(15):
        chosen = {path: path.read_bytes() for path in draw.sample(sorted(files), 6)}
        for path, content in chosen.items():
            place = draw.randrange(len(content) + 1)
            lines = content.split(b"\n")
            line = draw.randrange(len(lines))
            key = lines[line].partition(b":")[0]
            lines[line] = key + b": " + draw.choice(VALUES)
            cut, odd = content[:place], content[:place] + draw.choice(ODDITIES) + content[place:]
            path.write_bytes(draw.choice((cut, odd, b"\n".join(lines))))
        read_all(opened(root))
        for path, content in chosen.items():
            path.write_bytes(content)
    assert read_all(opened(root)).broken == {}


def test_files_that_were_never_in_the_store_are_read_below_a_named_folder(root: Path) -> None:
    """As of a server with a default artifact root, which was moved as well."""
    elsewhere = root.parent / "files"
    for path in [*root.rglob("artifacts")]:
        shutil.move(path, elsewhere / path.relative_to(root))
        path.mkdir()  # MLflow makes it for every run
    source = FileStoreSource(root, side="source", roots=Roots([elsewhere]))
    [run] = source.runs.read([RUN])
    files = source.artifacts.list(ArtifactRoot(run.ref, run.artifact_uri))
    assert "a.txt" in {it.path for it in files}
    assert source.unknown() == ()
    assert opened(root).unknown(), "without it, that they are nowhere is not believed"


@pytest.mark.parametrize("right", [True, False])
def test_files_behind_a_proxy_are_read_below_a_named_folder(root: Path, right: bool) -> None:
    for path in root.rglob("meta.yaml"):
        path.write_text(path.read_text().replace(OLD_ROOT, "mlflow-artifacts:"))
    elsewhere = root.parent / "mlartifacts"
    elsewhere.mkdir()
    if right:
        for experiment in (ALPHA, BETA):
            shutil.copytree(root / experiment, elsewhere / experiment)
    source = FileStoreSource(root, side="source", roots=Roots([elsewhere]))
    [run] = source.runs.read([RUN])
    files = source.artifacts.list(ArtifactRoot(run.ref, run.artifact_uri))
    assert bool(files) is right
    assert bool(source.unknown()) is not right, (
        "a folder that has nothing of it may be the wrong one"
    )


def test_a_store_that_is_written_to_is_read_again(root: Path) -> None:
    """MLflow empties a file before it writes it anew."""
    meta = root / META
    content = meta.read_text()
    meta.write_text("")
    writer = threading.Timer(0.03, meta.write_text, [content])
    writer.start()
    [run] = opened(root).runs.read([RUN])
    writer.join()
    assert run.name == "full"
