"""The documentation says what the code does: every name, option, limit and link is looked up."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main

import migrate
from migrate import errors, origins
from migrate.demo.samples import write_samples
from migrate.demo.server import TrackingServerProcess
from migrate.endpoints.tracking.capabilities import ALWAYS, capabilities_of
from migrate.endpoints.tracking.parts import UNKNOWN_RELEASE
from migrate.endpoints.tracking.versions import release_of
from migrate.kinds import Kind
from migrate.outcomes import TaskStatus
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.carriers import CARRIERS
from state.reports import MigrationStatus
from tests.commands import app
from tests.conftest import ROOT

DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DOCS += sorted((ROOT / "docs").glob("*.md"))
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SHELL_BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.M | re.S)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sections(name: str, level: str) -> dict[str, str]:
    """The text below each heading of a level."""
    parts = re.split(rf"^{level} (.+)$", text_of(name), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, without headings and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [
        n for n, row in enumerate(cells) if all(set(cell) <= set("-: ") and cell for cell in row)
    ]
    return [row for n, row in enumerate(cells) if n not in rules and n + 1 not in rules]


def options_of(command: Any) -> dict[str, str | None]:
    """The long options of a command, with their help."""
    return {
        name: option.help
        for option in command.params
        for name in option.opts
        if name.startswith("--") and name != "--help"
    }


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


# -- commands and options ---------------------------------------------------------------------


def test_every_command_has_a_section_and_no_other_has() -> None:
    described = {name for name in sections("docs/commands.md", "##") if name.startswith("migrate ")}
    assert described == {f"migrate {name}" for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described_with_its_command(name: str) -> None:
    section = sections("docs/commands.md", "##")[f"migrate {name}"]
    described = {option for row in rows(section) for option in options_in(row[0])}
    assert described == options_of(COMMANDS[name]).keys()


def test_who_comes_from_another_tool_finds_every_option_of_the_six_commands() -> None:
    text = text_of("docs/coming-from-mlflow-export-import.md")
    described = {option for row in rows(text) for option in options_in(row[0])}
    six = [name for name in COMMANDS if name.startswith(("export-", "import-"))]
    assert len(six) == 6
    assert described == {option for name in six for option in options_of(COMMANDS[name])}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_option_and_argument_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    nameless = [param.name for param in command.params if not getattr(param, "help", None)]
    assert nameless == []


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every ``migrate ...`` in a shell block, with the document it is in."""
    for path in DOCS:
        for block in SHELL_BLOCK.findall(path.read_text(encoding="utf-8")):
            for line in block.splitlines():
                words = line.removeprefix("$ ").partition("#")[0].split()
                if words[:1] == ["migrate"]:
                    yield path.name, words[1:]


def test_shell_examples_use_commands_and_options_that_exist() -> None:
    lines = list(command_lines())
    assert len(lines) > 5
    for document, (name, *arguments) in lines:
        assert name in COMMANDS, document
        unknown = options_in(" ".join(arguments)) - options_of(COMMANDS[name]).keys()
        assert not unknown, (document, name)


def test_no_document_names_an_option_that_does_not_exist() -> None:
    known = {option for command in COMMANDS.values() for option in options_of(command)}
    known |= {"--version", "--install-completion", "--show-completion", "--help"}
    for path in DOCS:
        if path.name != "export-format.md":  # it speaks of other tools
            assert options_in(path.read_text(encoding="utf-8")) <= known, path.name


@pytest.mark.thorough
def test_the_quickstart_works_as_pasted(
    fresh_source: TrackingServerProcess, fresh_target: TrackingServerProcess, tmp_path: Path
) -> None:
    write_samples(fresh_source.uri)
    (script,) = SHELL_BLOCK.findall(sections("README.md", "##")["Quickstart"])[:1]
    for name, uri in (("SOURCE", fresh_source.uri), ("TARGET", fresh_target.uri)):
        script, replaced = re.subn(rf"^{name}=.*$", f"{name}={uri}", script, flags=re.M)
        assert replaced == 1
    commands = Path(sys.executable).parent
    pasted = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert pasted.returncode == 0, pasted
    models = "1 registered model, 5 model versions"
    assert f"Plan: 3 experiments, 23 runs, {models} to create" in pasted.stdout
    assert pasted.stdout.count("\nWrote nothing") == 1
    assert "Verified: 4 experiments, 23 runs, " in pasted.stdout.splitlines()[-1]
    assert (
        len((tmp_path / "ids.csv").read_text(encoding="utf-8").splitlines()) == 1 + 4 + 23 + 1 + 5
    )


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.M))
    for path in DOCS:
        named = set(
            re.findall(r"(?:^\$ |`)make ([a-z]+)", path.read_text(encoding="utf-8"), flags=re.M)
        )
        assert named <= targets, path.name


# -- exit codes, settings, version --------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "heading"), [("README.md", "Exit codes"), ("docs/commands.md", None)]
)
def test_exit_codes_are_those_of_the_code(document: str, heading: str | None) -> None:
    text = sections(document, "##")[heading] if heading else text_of(document).partition("\n## ")[0]
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(row[0]) for row in rows(text)} == codes


def test_settings_of_a_side_are_all_in_the_readme() -> None:
    source = text_of("migrate/endpoints/tracking/http/access.py")
    settings = set(re.findall(r'setting\("(\w+)"\)', source))
    assert len(settings) > 5
    described = set(re.findall(r"MIGRATE_SOURCE_(\w+)", text_of("README.md")))
    assert described == settings


def test_one_version_everywhere() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    released = re.search(r"^## (\S+)", text_of("CHANGELOG.md"), flags=re.M)
    assert released is not None
    assert {project["version"], released[1], version("mlflow-migrate")} == {migrate.__version__}


# -- kinds ------------------------------------------------------------------------------------


def test_every_kind_is_described_as_copied_or_not() -> None:
    table = rows(text_of("docs/kinds.md").partition("\n## ")[0])
    assert [row[0] for row in table] == [str(kind) for kind in Kind]
    counted = {row[0] for row in table if "reported" in row[1]}
    assert counted == {str(kind) for kind in Kind} - {str(carrier.kind) for carrier in CARRIERS}
    known = [
        capabilities_of(release_of(version) or UNKNOWN_RELEASE, description="", identity="")
        for version in ("", "3.17.2")
    ]
    # Of records and traces, the stores of a server say which it has.
    copied = {it.kind for it in CARRIERS if not isinstance(it, RecordCarrier)} - {Kind.TRACE}
    assert copied == known[1].readable >= known[0].readable == ALWAYS


def test_every_tag_of_a_copy_is_described() -> None:
    tags = {
        f"`{value}*`" if value.endswith(".") else f"`{value}`"
        for name, value in vars(origins).items()
        if name.isupper() and str(value).startswith(origins.PREFIX) and name != "PREFIX"
    }
    assert {row[0] for row in rows(sections("docs/kinds.md", "##")["The tags of a copy"])} == tags


def test_every_route_that_is_called_is_named() -> None:
    routes = set()
    for path in (ROOT / "migrate/endpoints").rglob("*.py"):
        pattern = r'"((?:\{API\}|/[a-z-]+/\d\.0/mlflow)[a-z-]*/[a-z/-]+)"'
        routes |= set(re.findall(pattern, path.read_text(encoding="utf-8")))
    assert {"{API}/runs/create", "/ajax-api/2.0/mlflow/metrics/get-history-bulk"} <= routes
    named = {re.sub(r"^(\{API\}|/api/2\.0/mlflow)/", "", route) for route in routes}
    text = text_of("docs/kinds.md")
    # The root of a family is named with what follows it.
    told = [route for route in named if f"`{route}`" in text or f"`{route}/" in text]
    assert set(told) == named


LIMITS = rows(sections("docs/kinds.md", "##")["What each MLflow version takes"])
VERSIONS = [f"{major}.{minor}" for major in (1, 2, 3) for minor in range(40)]


def as_row(mlflow: str) -> list[str]:
    can = capabilities_of(release_of(mlflow) or UNKNOWN_RELEASE, description="", identity="")
    lengths = (
        can.param_length,
        can.run_tag_length,
        can.experiment_tag_length,
        can.metric_key_length,
    )
    words = (bool(can.writable), can.colon_in_keys, can.dataset_inputs)
    writable, colon, inputs = ("yes" if word else "no" for word in words)
    return [writable, *map(str, lengths), colon, inputs]


def as_documented(mlflow: str) -> list[str]:
    """A version has the limits of the last row that is not newer."""
    return [row for row in LIMITS if VERSIONS.index(row[0]) <= VERSIONS.index(mlflow)][-1][1:]


def test_limits_of_every_version_are_as_the_table_says() -> None:
    readable = VERSIONS[VERSIONS.index("1.28") :]
    assert [mlflow for mlflow in readable if as_row(mlflow) != as_documented(mlflow)] == []


# -- decisions, guarantees, state machine, architecture -----------------------------------------


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[\[<>=~! ]", entry)[0] for group in groups for entry in group}
    reasons = rows(sections("docs/decisions.md", "##")["Why these dependencies?"])
    # hatchling builds the project, whether or not it is a dependency of a developer.
    assert {row[0].strip("`") for row in reasons} == names | {"hatchling"}
    assert all(row[1] for row in reasons)


def test_statuses_of_the_state_machine_are_those_of_the_code() -> None:
    text = text_of("docs/state-machine.md")
    drawn = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, flags=re.M))
    assert drawn.keys() == {str(status) for status in TaskStatus}
    whole = sections("docs/state-machine.md", "##")["A migration as a whole"]
    assert {row[0] for row in rows(whole)} == {str(status) for status in MigrationStatus}


def test_every_letter_in_the_diagram_is_a_move_in_the_table() -> None:
    text = text_of("docs/state-machine.md")
    edges = set(re.findall(r"(\S+) --> (\w+): ([a-z])$", text, flags=re.M))
    assert {end for edge in edges for end in edge[:2]} == {"[*]", *map(str, TaskStatus)}
    assert sorted({letter for *_, letter in edges}) == [
        row[0] for row in rows(text) if len(row) == 4
    ]


def test_every_test_that_is_named_exists() -> None:
    defined: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        defined[path.relative_to(ROOT).as_posix()] = names
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", text_of("docs/guarantees.md"))
    assert len(named) > 15
    for path_name, test in named:
        assert path_name in defined, path_name
        assert not test or test in defined[path_name], (path_name, test)


def test_every_module_named_in_the_architecture_exists() -> None:
    text = text_of("docs/architecture.md")
    paths = set(re.findall(r"`((?:migrate|state|tests)/[\w/]+(?:\.py)?)`", text))
    assert len(paths) > 8
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_part_has_its_place_in_the_architecture() -> None:
    text = text_of("docs/architecture.md")
    parts = [path.parent.name for path in (ROOT / "migrate").glob("*/__init__.py")]
    parts += [path.stem for path in (ROOT / "migrate").glob("[a-z]*.py")]
    assert len(parts) > 10
    assert [part for part in parts if f"migrate/{part}" not in text] == []


# -- links ------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in words}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), link
        assert not anchor or anchor in anchors(found), link


def test_the_readme_links_every_document() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name})" in text_of("README.md"), path.name
