"""What is wrong with a command line is told before anything is written, with the way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrate.demo.server import TrackingServerProcess
from tests.bulk.arrived import Arrived
from tests.bulk.conftest import Bulk
from tests.bulk.worlds import IRIS, MINE
from tests.cli.conftest import Typed
from tests.conftest import ProxyFactory, RunMigrate
from tests.seed_models import ModelSource

#: Nobody listens there: these mistakes are found before anything is asked.
NOWHERE = "http://127.0.0.1:9"
EXPORTS = ("export-all", "export-models", "export-experiments --experiments all")
IMPORTS = ("import-all", "import-models", "import-experiments")

RULES = {
    "names.csv": "a,b\nc\n",
    "comma.csv": "churn, weekly,churn\n",
    "empty.csv": "\n  \n",
    "nothing.csv": "a,\n",
    "quote.csv": 'a,b\n"c,d\n',
    "latin.csv": "größe,size\n",
}


@pytest.fixture
def typed(run_migrate: RunMigrate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types command lines in a directory with files of rules in it."""
    monkeypatch.chdir(tmp_path)
    for name, text in RULES.items():
        encoding = "latin-1" if name == "latin.csv" else "utf-8"
        (tmp_path / name).write_text(text, encoding=encoding)
    return Typed(run_migrate, tmp_path / "home")


def refused(typed: Typed, line: str, says: str, hints: str, at: str = NOWHERE) -> None:
    """The command line is refused in these words, and nothing is written in the directory."""
    before = sorted(typed.home.parent.rglob("*"))
    typed.fails(*line.split(), code=2, says=says, hints=hints, env={"MLFLOW_TRACKING_URI": at})
    assert sorted(typed.home.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "says", "hints"),
    [
        ("--stages Prod", "--stages 'Prod' is no stage", "Production"),
        ("--stages None,,Shelved", "--stages 'Shelved' is no stage", "Archived"),
        ("--run-start-time yesterday", "--run-start-time 'yesterday' is no date", "YYYY-MM-DD"),
        ("--runs-until 2023-02-29", "--runs-until '2023-02-29' is no date", "YYYY-MM-DD"),
        (
            "--run-start-time 2024-01-02 --runs-until 2024-01-02",
            "--run-start-time is not before --runs-until",
            "",
        ),
        ("--notebook-formats SOURCE,PDF", "--notebook-formats 'PDF' is no format", "JUPYTER"),
        ("--use-threads False --workers 3", "--workers 3 needs threads", "leave out one"),
        ("--permission-users ada", "--permission-users says whose", "--export-permissions"),
    ],
)
def test_bad_options_of_exports(typed: Typed, options: str, says: str, hints: str) -> None:
    for command in EXPORTS:
        if not (options.startswith("--stages") and command.startswith("export-experiments")):
            refused(typed, f"{command} --output-dir out {options}", says, hints)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("export-experiments --experiments gone.txt", "cannot read gone.txt"),
        ("export-models --models gone.txt", "cannot read gone.txt"),
    ],
)
def test_files_of_names_that_cannot_be_read(typed: Typed, command: str, says: str) -> None:
    refused(typed, f"{command} --output-dir out", says, "UTF-8")


@pytest.mark.parametrize("option", ["--experiment-rename-file", "--model-rename-file"])
@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("gone.csv", "cannot read gone.csv"),
        ("names.csv", "line 2 of names.csv has 1 names, not two: 'c'"),
        ("comma.csv", "line 1 of comma.csv has 3 names, not two"),
        ("empty.csv", "empty.csv holds no rule"),
        ("nothing.csv", "line 1 of nothing.csv has an empty name"),
        ("quote.csv", "line 2 of quote.csv is no rule"),
        ("latin.csv", "cannot read latin.csv"),
    ],
)
def test_bad_rename_files(typed: Typed, option: str, file: str, says: str) -> None:
    line = f"import-all --input-dir out {option} {file}"
    refused(typed, line, f"{option}: {says}", "old_name,new_name")


def test_the_other_name_of_the_rename_option_is_as_strict(typed: Typed) -> None:
    for command in IMPORTS:
        line = f"{command} --input-dir out --experiment-name-replacements-file names.csv"
        refused(typed, line, "line 2 of names.csv", "old_name,new_name")


@pytest.mark.parametrize(
    ("options", "says", "hints"),
    [
        ("--if-trashed delete", "--if-trashed 'delete' is not a choice", "restore"),
        ("--artifact-location-map s3://old", "'s3://old' is not OLD=NEW", ""),
        ("--use-threads=False --workers 2", "--workers 2 needs threads", "leave out one"),
    ],
)
def test_bad_options_of_imports(typed: Typed, options: str, says: str, hints: str) -> None:
    for command in IMPORTS:
        refused(typed, f"{command} --input-dir out {options}", says, hints)


@pytest.mark.parametrize(
    ("uri", "says", "hints"),
    [
        ("", "no tracking server is named", "MLFLOW_TRACKING_URI"),
        ("./mlruns", "'./mlruns' is no tracking server", "mlflow server --backend-store-uri"),
        ("file:///mlruns", "'file:///mlruns' is no tracking server", "mlflow server"),
        ("localhost:5000", "is no tracking server", "http://host:port"),
    ],
)
def test_what_is_no_tracking_server(typed: Typed, uri: str, says: str, hints: str) -> None:
    for command in EXPORTS:
        refused(typed, f"{command} --output-dir out", says, hints, at=uri)
    for command in IMPORTS:
        refused(typed, f"{command} --input-dir out", says, hints, at=uri)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("postgresql://ada:s3cret@h/db", "postgresql://h/db"),
    ],
)
def test_a_database_is_imported_into_with_a_place_for_files(
    typed: Typed, uri: str, shown: str
) -> None:
    for command in IMPORTS:
        says = f"where the files of {shown} go is to be said"
        refused(typed, f"{command} --input-dir out", says, "--target-artifacts", at=uri)


def test_a_database_that_is_not_there_is_not_exported(typed: Typed) -> None:
    uri = "sqlite:///mlflow.db"
    for command in EXPORTS:
        refused(typed, f"{command} --output-dir out", "mlflow.db is not there", "sqlite:", at=uri)


@pytest.mark.parametrize("path", ["http://127.0.0.1:5000", "s3://bucket/out", "databricks://x"])
def test_what_is_no_directory(typed: Typed, path: str) -> None:
    for command in EXPORTS:
        refused(typed, f"{command} --output-dir {path}", f"--output-dir '{path}' is no", "path")
    for command in IMPORTS:
        refused(typed, f"{command} --input-dir {path}", f"--input-dir '{path}' is no", "path")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("export-all --output-dir out --versions 3", "No such option: --versions"),
        ("export-all --output-dir out --use-threads maybe", "--use-threads 'maybe': write True"),
        ("export-all --output-dir out --quiet=perhaps", "--quiet 'perhaps': write True or False"),
        ("export-all", "Missing option '--output-dir'"),
        ("export-experiments --output-dir out", "Missing option '--experiments'"),
        ("import-models", "Missing option '--input-dir'"),
        ("import-experiments --input-dir out --model-rename-file names.csv", "No such option"),
        ("import-all --input-dir in out", "unexpected extra argument"),
        ("export-all --output-dir out --workers 0 --use-threads", "greater than or equal to 1"),
    ],
)
def test_what_no_command_takes(typed: Typed, tmp_path: Path, line: str, says: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = typed(*line.split(), code=2, env={"MLFLOW_TRACKING_URI": NOWHERE})
    assert says in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "says", "hints"),
    [
        (
            "export-experiments --experiments 0,Defualt --output-dir out",
            "no experiment at the source is called or numbered: 'Defualt'",
            "did you mean 'Default'?",
        ),
        (
            "export-models --models sklearn-iris,sklearn-win --output-dir out",
            "no registered model at the source is called: 'sklearn-win'",
            "did you mean 'sklearn-wine' or ",
        ),
        ("export-models --models 'zzz*' --output-dir out", "is called: 'zzz*'", ""),
    ],
)
def test_unknown_names_are_told_with_the_nearest_and_no_directory_is_made(
    bulk: Bulk, world: ModelSource, line: str, says: str, hints: str
) -> None:
    error, _, hint = bulk(line, world.seeded.uri, code=2).stderr.partition("Hint: ")
    assert says in error
    assert hints in hint
    assert not (bulk.directory / "out").exists()


@pytest.mark.parametrize(
    ("path", "says", "hints"),
    [
        (".", "is not empty and holds no export of this tool", "name a new directory"),
        ("notes.txt", "notes.txt is not a directory", "name a new directory"),
        ("foreign", "holds an export of another tool", "name a new directory"),
    ],
)
def test_output_goes_into_no_directory_with_something_else_in_it(
    bulk: Bulk, world: ModelSource, path: str, says: str, hints: str
) -> None:
    bulk.write("notes.txt", "mine")
    (bulk.directory / "foreign").mkdir()
    bulk.write("foreign/experiments.json", '{"system": {}, "info": {}, "mlflow": {}}')
    before = _listing(bulk.directory)
    result = bulk(f"export-all --output-dir {path}", world.seeded.uri, code=2)
    assert says in result.stderr
    assert hints in result.stderr
    assert _listing(bulk.directory) == before


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nowhere", "nowhere does not exist"),
        ("notes.txt", "notes.txt is not a directory"),
        (".", "is no export"),
        ("empty", "empty is empty"),
    ],
)
def test_input_comes_from_no_directory_that_is_no_export(
    bulk: Bulk,
    fresh_target: TrackingServerProcess,
    proxy_factory: ProxyFactory,
    path: str,
    says: str,
) -> None:
    bulk.write("notes.txt", "mine")
    (bulk.directory / "empty").mkdir()
    proxy = proxy_factory(fresh_target.uri)
    result = bulk(f"import-all --input-dir {path}", proxy.uri, code=2)
    assert says in result.stderr
    assert "Hint: " in result.stderr
    assert not proxy.writes()


class TestNames:
    """Rules that make two copies have one name, or no name at all other."""

    @pytest.mark.parametrize(
        ("option", "rules", "says"),
        [
            (
                "--experiment-rename-file",
                f"{IRIS},one\n{MINE},one\n",
                f"experiments '{IRIS}', '{MINE}' would all be called 'one'",
            ),
            (
                "--experiment-rename-file",
                f"{IRIS},Default\n",
                f"experiments '{IRIS}', 'Default' would all be called 'Default'",
            ),
            (
                "--model-rename-file",
                "sklearn_,sklearn-\n",
                "registered models 'sklearn-iris', 'sklearn_iris' would all be called",
            ),
        ],
    )
    def test_two_of_one_name_are_refused(
        self,
        bulk: Bulk,
        whole: Path,
        fresh_target: TrackingServerProcess,
        proxy_factory: ProxyFactory,
        option: str,
        rules: str,
        says: str,
    ) -> None:
        bulk.write("rules.csv", rules)
        proxy = proxy_factory(fresh_target.uri)
        line = f"import-all --input-dir {whole} {option} rules.csv"
        result = bulk(line, proxy.uri, code=2)
        assert says in result.stderr
        assert "change the rename file" in result.stderr
        assert not proxy.writes()

    def test_a_rule_that_fits_nothing_is_told(
        self, bulk: Bulk, wine_and_iris: Path, fresh_target: TrackingServerProcess
    ) -> None:
        bulk.write("experiments.csv", "/Users/me@,/Users/you@\n/users/me,x\n/Users/me@my,y\n")
        bulk.write("models.csv", "sklearn_,x\n")
        line = f"import-all --input-dir {wine_and_iris} --model-rename-file models.csv"
        told = bulk(f"{line} --experiment-rename-file experiments.csv", fresh_target.uri).stderr
        assert "Note: rule '/users/me,x' of the rename file fits no experiment" in told
        assert "Note: rule '/Users/me@my,y' of the rename file fits no experiment" in told
        assert "Note: rule 'sklearn_,x' of the rename file fits no registered model" in told
        assert "'/Users/me@,/Users/you@'" not in told
        assert "/Users/you@my.com/sklearn_iris" in Arrived(fresh_target.uri).runs
        for_programs = bulk(f"{line} --json", fresh_target.uri).stderr
        notes = [it["text"] for it in map(json.loads, for_programs.splitlines()) if "text" in it]
        assert any(note.startswith("Note: rule 'sklearn_,x'") for note in notes)


def _listing(directory: Path) -> list[str]:
    """Everything in a directory but the state and the output of the commands."""
    found = (str(path.relative_to(directory)) for path in directory.rglob("*"))
    return sorted(name for name in found if not name.startswith((".migrate", "migrate-")))
