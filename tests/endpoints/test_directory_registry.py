"""Registered models, prompts and their versions in an export directory."""

from __future__ import annotations

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.directory.layout import registry_names
from migrate.errors import AlreadyExists, DirectoryError, NotFound, Refused
from migrate.kinds import MODEL_KINDS, Kind, Ref
from migrate.objects import NO_STAGE, STAGES, ModelVersion, RegisteredModel
from tests.endpoints.exports import (
    a_prompt,
    a_prompt_version,
    a_registered_model,
    a_run,
    a_version,
    an_experiment,
    write_registry,
    write_run,
)
from tests.endpoints.test_directory_roundtrip import HOSTILE, texts, times

REGISTRY_NAMES = [
    *HOSTILE,
    *("Fraud", "fraud", "FRAUD", "it's", 'say "x"', "100%", "a b", "models", "versions"),
    *("artifacts", "x_v1", "x_v1_v2", "x.prompt.json", "prompts_summary", "models.json"),
]
names = st.one_of(st.sampled_from(REGISTRY_NAMES), st.text(max_size=12)).filter(bool)
kinds = st.sampled_from([Kind.REGISTERED_MODEL, Kind.PROMPT])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the export is."""
    return tmp_path / "export"


@pytest.fixture
def target(path: Path) -> ExportDirectory:
    """A new export with experiment 7 in it."""
    directory = ExportDirectory(path, writable=True)
    directory.experiments.create(an_experiment())
    return directory


def reader(path: Path) -> ExportDirectory:
    return ExportDirectory(path, writable=False)


Registry = list[tuple[RegisteredModel, list[ModelVersion]]]


def read(source: ExportDirectory, *asked: str) -> Registry:
    """Everything in a registry, or what has these names."""
    models = list(source.registered_models.list(asked or None))
    found: dict[str, list[ModelVersion]] = {str(model.ref): [] for model in models}
    of_version = {str(kind.versions): str(kind) for kind in MODEL_KINDS}
    for version in source.model_versions.list(models):
        found[f"{of_version[version.kind]}:{version.name}"].append(version)
    return [(model, found[str(model.ref)]) for model in models]


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    """Registered models and prompts of different names, with versions and aliases."""
    registry = []
    for name in draw(st.lists(names, max_size=4, unique=True)):
        kind = draw(kinds)
        tags = draw(st.dictionaries(texts, texts, max_size=2))
        if kind is Kind.PROMPT:
            tags["mlflow.prompt.is_prompt"] = "true"
        numbers = sorted(draw(st.sets(st.integers(1, 12), max_size=4)))
        held = draw(st.dictionaries(texts, st.sampled_from(numbers), max_size=3)) if numbers else {}
        model = RegisteredModel(
            name=name,
            kind=kind,
            description=draw(texts),
            tags=tags,
            aliases=held,
            creation_time=draw(st.none() | times),
            last_update_time=draw(st.none() | times),
        )
        versions = [
            ModelVersion(
                name=name,
                version=number,
                kind=kind.versions or kind,
                source=draw(texts),
                run_id=draw(texts),
                run_link=draw(texts),
                model_id=draw(texts),
                description=draw(texts),
                tags=draw(st.dictionaries(texts, texts, max_size=2)),
                aliases=tuple(sorted(alias for alias, at in held.items() if at == number)),
                stage=draw(st.sampled_from(STAGES)),
                user_id=draw(texts),
                creation_time=draw(st.none() | times),
                last_update_time=draw(st.none() | times),
            )
            for number in numbers
        ]
        registry.append((model, versions))
    return registry


def in_order(registry: Registry) -> list[str]:
    """Records in a form that does not tell the order of models and of tags."""
    return sorted(
        repr((sort_tags(model), sorted(model.aliases.items()), [sort_tags(it) for it in versions]))
        for model, versions in registry
    )


def sort_tags(record: RegisteredModel | ModelVersion) -> object:
    tags = dict(sorted(record.tags.items()))
    if isinstance(record, RegisteredModel):
        return replace(record, tags=tags, aliases={})
    return replace(record, tags=tags)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(registry=registries())
def test_a_registry_is_read_back_as_it_was_written(
    registry: Registry,
) -> None:
    outside = Path(tempfile.mkdtemp())
    try:
        target = ExportDirectory(outside / "export", writable=True)
        target.capabilities()
        for model, versions in registry:
            write_registry(target, model, versions)
        before = in_order(read(reader(outside / "export")))  # as a kill would leave it
        target.publish()
        source = reader(outside / "export")
        assert in_order(read(source)) == in_order(registry) == before
        for model, versions in registry:
            assert in_order(read(source, model.name, "none such")) == in_order([(model, versions)])
        assert source.unreadable.all() == []
        assert [entry.name for entry in outside.iterdir()] == ["export"]
    finally:
        shutil.rmtree(outside)


def test_every_field_is_kept(target: ExportDirectory, path: Path) -> None:
    versions = [a_version(2, aliases=("best",)), a_version(10), a_version(1, stage=NO_STAGE)]
    write_registry(target, a_registered_model(), versions)
    prompt_versions = [a_prompt_version(1), a_prompt_version(3, aliases=("live", "old"))]
    write_registry(target, a_prompt(), prompt_versions)
    target.publish()
    assert read(reader(path)) == [
        (a_registered_model(aliases={"best": 2}), [versions[2], versions[0], versions[1]]),
        (a_prompt(aliases={"live": 3, "old": 3}), prompt_versions),
    ]


def test_model_json_is_what_other_tools_import(target: ExportDirectory, path: Path) -> None:
    write_run(target, a_run())
    versions = [a_version(10, aliases=("best",)), a_version(2, run_id="gone"), a_version(1)]
    write_registry(target, a_registered_model(), versions)
    write_registry(target, a_registered_model("a:b"))
    assert not (path / "experiments").exists()
    target.publish()
    document = json.loads((path / "models" / "fraud" / "model.json").read_text())
    model = document["mlflow"]["registered_model"]
    assert model["tags"] == [{"key": "owner", "value": "ada"}]
    assert model["aliases"] == [{"alias": "best", "version": "10"}]
    assert [version["version"] for version in model["versions"]] == ["1", "2", "10"]
    last = model["versions"][-1]
    assert last["_experiment_name"] == "experiment 7"
    assert last["_run_artifact_uri"] == a_run().artifact_uri
    assert (last["aliases"], last["current_stage"]) == (["best"], "Staging")
    assert (last["tags"], last["creation_timestamp"]) == ({"checked": "yes"}, 1_700_000_000_010)
    assert "_experiment_name" not in model["versions"][1]
    index = json.loads((path / "models" / "models.json").read_text())
    assert index["mlflow"]["models"] == ["fraud"]
    (renamed,) = index["mlflow"]["renamed_models"]
    assert renamed == {"name": "a:b", "directory": registry_names("a:b")[0]}
    assert index["info"]["num_ok_models"] == 2


def test_import_models_finds_the_experiments(target: ExportDirectory, path: Path) -> None:
    """That tool reads experiments/ beside models/, and goes where an id leads from there."""
    write_registry(target, a_registered_model())
    target.publish()
    index = json.loads((path / "experiments" / "experiments.json").read_text())
    (entry,) = index["mlflow"]["experiments"]
    assert entry["name"] == "experiment 7"
    assert (path / "experiments" / entry["id"] / "experiment.json").is_file()
    with pytest.raises(DirectoryError, match="only leads other tools") as caught:
        reader(path / "experiments").capabilities()
    assert str(path) in caught.value.hint
    assert [it.experiment_id for it in reader(path).experiments.list()] == ["7"]


def test_prompt_json_is_what_other_tools_import(target: ExportDirectory, path: Path) -> None:
    write_registry(target, a_prompt(), [a_prompt_version(1), a_prompt_version(2)])
    target.publish()
    document = json.loads((path / "prompts" / "greeting_v2" / "prompt.json").read_text())
    prompt = document["mlflow"]["prompt"]
    assert (prompt["name"], prompt["version"]) == ("greeting", 2)
    assert prompt["template"] == [{"role": "user", "content": "Hello {{name}}"}]
    assert prompt["tags"] == {"language": "en"}
    assert prompt["commit_message"] == "version 2"
    summary = json.loads((path / "prompts" / "prompts_summary.json").read_text())
    assert summary["mlflow"] == {
        "total_prompts": 2,
        "successful_exports": 2,
        "failed_exports": 0,
    }


def test_publishing_what_is_published_writes_nothing(target: ExportDirectory, path: Path) -> None:
    write_run(target, a_run())
    write_registry(target, a_registered_model(), [a_version(aliases=("best",))])
    write_registry(target, a_prompt(), [a_prompt_version()])
    target.publish()
    before = {it: it.stat().st_mtime_ns for it in path.rglob("*")}
    again = ExportDirectory(path, writable=True)
    (model,) = again.registered_models.list(["fraud"])
    (version,) = again.model_versions.list([model])
    again.registered_models.update(model, model)
    again.model_versions.update(version, version)
    again.publish()
    assert {it: it.stat().st_mtime_ns for it in path.rglob("*")} == before


def test_a_name_is_taken_once(target: ExportDirectory, path: Path) -> None:
    write_registry(target, a_registered_model())
    write_registry(target, a_prompt())
    for directory in (target, ExportDirectory(path, writable=True)):
        for taken in (
            a_registered_model(),
            a_prompt("fraud"),
            a_registered_model("greeting"),
            a_prompt(),
        ):
            with pytest.raises(AlreadyExists):
                directory.registered_models.create(taken)


def test_a_place_that_another_name_has_is_left_to_it(target: ExportDirectory, path: Path) -> None:
    """As on a file system that takes ``Fraud`` and ``fraud`` for the same name."""
    write_registry(target, a_registered_model(), [a_version()])
    write_registry(target, a_prompt(), [a_prompt_version()])
    for file in path.rglob("*.json"):
        text = file.read_text()
        text = text.replace('"name": "fraud"', '"name": "Fraud"')
        file.write_text(text.replace('"name": "greeting"', '"name": "Greeting"'))
    again = ExportDirectory(path, writable=True)
    assert {it.name for it in again.registered_models.list()} == {"Fraud", "Greeting"}
    assert list(again.registered_models.list(["fraud", "greeting"])) == []
    write_registry(again, a_registered_model(), [a_version()])
    write_registry(again, a_prompt(), [a_prompt_version()])
    again.publish()
    found = {model.name: versions for model, versions in read(reader(path))}
    assert set(found) == {"Fraud", "fraud", "Greeting", "greeting"}
    assert found["fraud"] == [a_version()]
    assert found["greeting"] == [a_prompt_version()]


def test_what_is_there_is_changed(target: ExportDirectory, path: Path) -> None:
    for model, version in ((a_registered_model(), a_version()), (a_prompt(), a_prompt_version())):
        write_registry(target, model, [version])
        changed = replace(model, description="new", tags={**model.tags, "more": "tags"})
        target.registered_models.update(model, changed)
        (found,) = reader(path).registered_models.list([model.name])
        assert found == changed
        tags = {**version.tags, "more": "tags"}
        wanted = replace(version, description="new", stage="Archived", tags=tags)
        target.model_versions.update(version, wanted)
        (now,) = reader(path).model_versions.list([model])
        assert now == wanted
        assert target.model_versions.create(replace(version, user_id="bob")) == 1
        (now,) = reader(path).model_versions.list([model])
        assert now == replace(version, user_id="bob")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_an_alias_points_to_one_version(target: ExportDirectory, order: tuple[int, int]) -> None:
    """It moves, whichever of the two versions is updated first."""
    write_registry(target, a_registered_model(), [a_version(1, aliases=("a", "b")), a_version(2)])
    copies = {it.version: it for it in target.model_versions.list([a_registered_model()])}
    wanted = {1: a_version(1), 2: a_version(2, aliases=("a",))}
    for number in order:
        target.model_versions.update(copies[number], wanted[number])
    (model,) = target.registered_models.list()
    assert model.aliases == {"a": 2}
    assert [it.aliases for it in target.model_versions.list([model])] == [(), ("a",)]
    target.model_versions.delete(a_version(2))
    (model,) = target.registered_models.list()
    assert model.aliases == {}


def test_what_is_deleted_is_gone(target: ExportDirectory, path: Path) -> None:
    for model, version in ((a_registered_model(), a_version()), (a_prompt(), a_prompt_version())):
        write_registry(target, model, [version, replace(version, version=2)])
        write_registry(target, replace(model, name="other"), [replace(version, name="other")])
        target.publish()
        for _ in range(2):
            target.model_versions.delete(version)
        assert [it.version for it in reader(path).model_versions.list([model])] == [2]
        for _ in range(2):
            target.registered_models.delete(model.name)
        assert [it.name for it in reader(path).registered_models.list()] == ["other"]
        target.publish()
        source = reader(path)
        assert [it.name for it in source.registered_models.list()] == ["other"]
        assert source.unreadable.all() == []
        target.registered_models.create(model)
        assert list(target.model_versions.list([model])) == []
        for name in (model.name, "other"):
            target.registered_models.delete(name)


def test_what_is_not_there_is_not_found(target: ExportDirectory) -> None:
    write_registry(target, a_registered_model())
    for attempt in (
        lambda: target.model_versions.create(a_version(name="none such")),
        lambda: target.model_versions.create(a_prompt_version(name="fraud")),
        lambda: target.registered_models.update(a_prompt(), a_prompt()),
        lambda: target.model_versions.update(a_version(), a_version()),
    ):
        with pytest.raises(NotFound):
            attempt()
    target.model_versions.delete(a_version())
    target.model_versions.delete(a_version(name="none such"))
    assert list(target.model_versions.list([a_registered_model("none such")])) == []


def test_nothing_is_written_where_only_reading_was_asked_for(
    target: ExportDirectory, path: Path
) -> None:
    write_registry(target, a_registered_model(), [a_version()])
    source = reader(path)
    for attempt in (
        lambda: source.registered_models.create(a_prompt()),
        lambda: source.registered_models.delete("fraud"),
        lambda: source.model_versions.create(a_version(2)),
        lambda: source.model_versions.delete(a_version()),
    ):
        with pytest.raises(Refused):
            attempt()
    assert read(source) == [(a_registered_model(), [a_version()])]


def test_versions_are_written_at_once(target: ExportDirectory, path: Path) -> None:
    target.registered_models.create(a_registered_model())
    target.registered_models.create(a_prompt())

    def write(number: int) -> None:
        for version in (a_version(number, aliases=(f"a{number}",)), a_prompt_version(number)):
            target.model_versions.create(version)
            target.model_versions.update(replace(version, aliases=()), version)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(1, 21)))
    (model, versions), (_, prompts) = read(reader(path))
    assert [it.version for it in versions] == [it.version for it in prompts] == [*range(1, 21)]
    assert model.aliases == {f"a{number}": number for number in range(1, 21)}


def cut(content: bytes) -> list[bytes]:
    return [content[:length] for length in (0, 1, len(content) // 2, len(content) - 3)]


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        ("models/fraud/model.json", Ref(Kind.REGISTERED_MODEL, "fraud")),
        ("models/fraud/versions/1.json", Ref(Kind.MODEL_VERSION, "fraud/1")),
        ("prompts/greeting.prompt.json", Ref(Kind.PROMPT, "greeting")),
        ("prompts/greeting_v1/prompt.json", Ref(Kind.PROMPT_VERSION, "greeting/1")),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_read(
    target: ExportDirectory, path: Path, name: str, ref: Ref
) -> None:
    write_registry(target, a_registered_model(), [a_version(), a_version(2)])
    write_registry(target, a_registered_model("other"), [a_version(name="other")])
    write_registry(target, a_prompt(), [a_prompt_version(), a_prompt_version(2)])
    target.publish()
    whole = read(reader(path))
    file = path / name
    content = file.read_bytes()
    for damaged in (*cut(content), b"[]", b'{"mlflow": {}}', b'{"system": {}, "mlflow": 5}'):
        file.write_bytes(damaged)
        source = reader(path)
        found = read(source)
        told = {entry.ref: entry for entry in source.unreadable.all()}
        assert told[ref].container == ref.id.rpartition("/")[0]
        assert str(file) in told[ref].reason
        assert told[ref].hint
        left = {version.ref for _, versions in found for version in versions}
        everything = {it.ref for _, versions in whole for it in versions}
        lost = {it for it in everything if it == ref or it.id.startswith(f"{ref.id}/")}
        assert left == everything - lost
        assert told.keys() == lost | {ref}
    newer = content.replace(b'"format_version": 1', b'"format_version": 2')
    assert newer != content
    file.write_bytes(newer)
    source = reader(path)
    read(source)
    [entry] = [it for it in source.unreadable.all() if it.ref == ref]
    assert "export format 2" in entry.reason
    file.write_bytes(content)
    assert read(source) == whole
    assert source.unreadable.all() == []


def test_a_damaged_version_counts_as_failed(target: ExportDirectory, path: Path) -> None:
    write_registry(target, a_registered_model(), [a_version(), a_version(2)])
    file = path / "models" / "fraud" / "versions" / "1.json"
    content = file.read_bytes()
    file.write_text("{")
    target.publish()
    info = json.loads((path / "models" / "fraud" / "model.json").read_text())["info"]
    assert info["failed_versions"] == [{"version": "1"}]
    file.write_bytes(content)
    target.publish()
    info = json.loads((path / "models" / "fraud" / "model.json").read_text())["info"]
    assert info["failed_versions"] == []


@pytest.mark.parametrize(
    "name",
    [
        "models/fraud",
        "models/fraud/model.json",
        "models/fraud/versions",
        "models/fraud/versions/1.json",
        "prompts/greeting_v1",
        "prompts/greeting_v1/prompt.json",
        "prompts/greeting.prompt.json",
    ],
)
def test_links_are_not_followed(target: ExportDirectory, path: Path, name: str) -> None:
    write_registry(target, a_registered_model(), [a_version()])
    write_registry(target, a_prompt(), [a_prompt_version()])
    moved = path.parent / "moved"
    shutil.move(path / name, moved)
    (path / name).symlink_to(moved)
    source = reader(path)
    found = read(source)
    assert sum(len(versions) for _, versions in found) == 1
    assert any("symbolic link" in entry.reason for entry in source.unreadable.all())
    before = {it: it.read_bytes() for it in [moved, *moved.rglob("*")] if it.is_file()}
    for write in (
        lambda: target.model_versions.create(a_version(description="new")),
        lambda: target.model_versions.create(a_prompt_version(description="new")),
    ):
        with suppress(DirectoryError):  # where the link is in its way
            write()
    assert {it: it.read_bytes() for it in [moved, *moved.rglob("*")] if it.is_file()} == before


@pytest.mark.parametrize("folder", ["models", "prompts"])
def test_a_link_in_place_of_all_of_them_is_named(
    target: ExportDirectory, path: Path, folder: str
) -> None:
    write_registry(target, a_registered_model(), [a_version()])
    write_registry(target, a_prompt(), [a_prompt_version()])
    shutil.move(path / folder, path.parent / "moved")
    (path / folder).symlink_to(path.parent / "moved")
    with pytest.raises(DirectoryError, match="symbolic link"):
        list(reader(path).registered_models.list())


@pytest.mark.parametrize("content", [b"../../x", b"a/../../x"])
def test_hostile_names_stay_in_the_directory(tmp_path: Path, content: bytes) -> None:
    name = content.decode()
    target = ExportDirectory(tmp_path / "a" / "export", writable=True)
    write_registry(target, a_registered_model(name), [a_version(name=name)])
    write_registry(target, a_prompt(f"{name}2"), [a_prompt_version(name=f"{name}2")])
    target.publish()
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["export"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert len(read(reader(tmp_path / "a" / "export"))) == 2
