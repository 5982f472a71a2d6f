"""What the source of a version names, and what it becomes for the copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import Refused
from migrate.kinds import Kind, Ref
from migrate.objects import ModelVersion
from migrate.tasks.version_sources import (
    PROMPT_RUNS_TAG,
    Place,
    VersionSource,
    copied_prompt_tags,
    copied_source,
    named_by,
)

RUN, OTHER, NOWHERE = "a" * 32, "b" * 32, "0" * 32
MODEL = "m-" + "c" * 32
NEW_RUN, NEW_OTHER, NEW_MODEL = "1" * 32, "2" * 32, "m-" + "3" * 32
COPIES = {
    Ref(Kind.RUN, RUN): NEW_RUN,
    Ref(Kind.RUN, OTHER): NEW_OTHER,
    Ref(Kind.LOGGED_MODEL, MODEL): NEW_MODEL,
    Ref(Kind.MODEL_VERSION, "churn/3"): "churn/4",
    Ref(Kind.MODEL_VERSION, "m-churn/3"): "m-churn/4",
    Ref(Kind.MODEL_VERSION, "a b%/3"): "a b%/3",
}
ARTIFACTS = "mlflow-artifacts:/7"
NEW_ARTIFACTS = "mlflow-artifacts:/70"
PLACES = {
    Ref(Kind.RUN, RUN): Place(
        f"{ARTIFACTS}/{RUN}/artifacts", f"{NEW_ARTIFACTS}/{NEW_RUN}/artifacts"
    ),
    Ref(Kind.RUN, OTHER): Place(
        f"{ARTIFACTS}/{OTHER}/artifacts", f"{NEW_ARTIFACTS}/{NEW_OTHER}/artifacts"
    ),
    Ref(Kind.LOGGED_MODEL, MODEL): Place(
        f"{ARTIFACTS}/models/{MODEL}/artifacts", f"{NEW_ARTIFACTS}/models/{NEW_MODEL}/artifacts"
    ),
}
OF_RUN = PLACES[Ref(Kind.RUN, RUN)]
OF_MODEL = PLACES[Ref(Kind.LOGGED_MODEL, MODEL)]


def version(source: str, **fields: Any) -> ModelVersion:
    return ModelVersion(name="x", version=1, source=source, **fields)


def copied(
    source: str,
    run_id: str = "",
    model_id: str = "",
    copies: Mapping[Ref, str] = COPIES,
    places: Mapping[Ref, Place] = PLACES,
) -> VersionSource:
    return copied_source(version(source, run_id=run_id, model_id=model_id), copies, places.get)


class TestEveryForm:
    @pytest.mark.parametrize(
        ("source", "fields", "expected"),
        [
            (f"models:/{MODEL}", {}, (f"models:/{NEW_MODEL}", "", NEW_MODEL)),
            (f"models:/{MODEL}", {"run_id": RUN}, (f"models:/{NEW_MODEL}", NEW_RUN, NEW_MODEL)),
            (f"models:/{MODEL}/a/b", {}, (f"models:/{NEW_MODEL}/a/b", "", NEW_MODEL)),
            (f"models:/{MODEL}", {"run_id": NOWHERE}, (f"models:/{NEW_MODEL}", "", NEW_MODEL)),
            ("models:/churn/3", {"run_id": RUN}, ("models:/churn/4", NEW_RUN, "")),
            ("models:/a b%/3", {}, ("models:/a b%/3", "", "")),
            ("models:/a%20b%25/3", {}, ("models:/a b%/3", "", "")),
            # A registered model may be called like this, too.
            ("models:/m-churn/3", {}, ("models:/m-churn/4", "", "")),
            ("models:/m-churn@champion", {}, ("models:/m-churn@champion", "", "")),
            ("models:/churn@champion", {"run_id": RUN}, ("models:/churn@champion", NEW_RUN, "")),
            (f"runs:/{RUN}/model", {"run_id": RUN}, (f"runs:/{NEW_RUN}/model", NEW_RUN, "")),
            (f"runs:/{RUN}/model/", {"run_id": RUN}, (f"runs:/{NEW_RUN}/model/", NEW_RUN, "")),
            (f"runs:/{RUN}", {"run_id": RUN}, (f"runs:/{NEW_RUN}", NEW_RUN, "")),
            (f"runs:/{NOWHERE}/x", {"run_id": NOWHERE}, (f"runs:/{NOWHERE}/x", NOWHERE, "")),
            (OF_RUN.original, {"run_id": RUN}, (OF_RUN.copy, NEW_RUN, "")),
            (f"{OF_RUN.original}/a/b", {"run_id": RUN}, (f"{OF_RUN.copy}/a/b", NEW_RUN, "")),
            (f"{OF_RUN.original}/a", {}, (f"{OF_RUN.copy}/a", NEW_RUN, "")),
            (f"{OF_MODEL.original}/a", {}, (f"{OF_MODEL.copy}/a", "", NEW_MODEL)),
            (OF_MODEL.original, {"run_id": RUN}, (OF_MODEL.copy, NEW_RUN, NEW_MODEL)),
            (OF_MODEL.original, {"model_id": MODEL}, (OF_MODEL.copy, "", NEW_MODEL)),
            # The run it says it is of, and the place of another one.
            (
                f"{OF_MODEL.original}/x",
                {"run_id": OTHER},
                (f"{OF_MODEL.copy}/x", NEW_OTHER, NEW_MODEL),
            ),
            ("s3://bucket/x", {}, ("s3://bucket/x", "", "")),
            ("s3://bucket/x", {"run_id": RUN}, ("s3://bucket/x", NEW_RUN, "")),
            ("s3://bucket/x", {"run_id": NOWHERE}, ("s3://bucket/x", "", "")),
            ("", {"run_id": RUN}, ("", NEW_RUN, "")),
        ],
    )
    def test_its_copy_names_copies(
        self, source: str, fields: dict[str, str], expected: tuple[str, str, str]
    ) -> None:
        assert copied(source, **fields) == expected

    @pytest.mark.parametrize(
        "source", ["models:/m-" + "9" * 32, "models:/churn/9", "models:/m-other/1"]
    )
    def test_what_is_not_on_the_target_is_refused(self, source: str) -> None:
        with pytest.raises(Refused, match="which is not on the target"):
            copied(source)

    def test_a_flattened_logged_model_is_a_path_of_its_run(self) -> None:
        flat = {**COPIES, Ref(Kind.LOGGED_MODEL, MODEL): f"runs:/{NEW_RUN}/churn"}
        assert copied(f"models:/{MODEL}", copies=flat) == (f"runs:/{NEW_RUN}/churn", NEW_RUN, "")
        assert copied(f"models:/{MODEL}/a", OTHER, copies=flat) == (
            f"runs:/{NEW_RUN}/churn/a",
            NEW_RUN,
            "",
        )
        place = {Ref(Kind.LOGGED_MODEL, MODEL): Place(OF_MODEL.original, f"{OF_RUN.copy}/churn")}
        assert copied(f"{OF_MODEL.original}/a", copies=flat, places=place) == (
            f"{OF_RUN.copy}/churn/a",
            NEW_RUN,
            "",
        )


class TestOddPlaces:
    @pytest.mark.parametrize(
        "rest",
        ["models", "artifacts/x", "models/MLmodel", f"models/{MODEL}/artifacts", OTHER, "é b%20"],
    )
    def test_only_the_root_is_replaced(self, rest: str) -> None:
        assert copied(f"{OF_RUN.original}/{rest}", RUN) == (f"{OF_RUN.copy}/{rest}", NEW_RUN, "")
        assert copied(f"runs:/{RUN}/{rest}", RUN) == (f"runs:/{NEW_RUN}/{rest}", NEW_RUN, "")

    @pytest.mark.parametrize(
        "source",
        [
            f"{OF_RUN.original}2/x",
            f"s3://models/{MODEL}/artifacts/{RUN}/artifacts",
            f"s3://bucket/7/{RUN}/artifacts/x",
            f"other{OF_RUN.original}/x",
            f"{OF_RUN.original[:-1]}",
        ],
    )
    def test_what_only_looks_like_it_stays(self, source: str) -> None:
        assert copied(source, RUN) == (source, NEW_RUN, "")

    def test_roots_that_begin_alike_are_told_apart(self) -> None:
        places = {
            Ref(Kind.RUN, RUN): Place(f"s3://b/{RUN}/artifacts", "s3://n/one"),
            Ref(Kind.RUN, OTHER): Place(f"s3://b/{RUN}/artifacts2/{OTHER}", "s3://n/two"),
        }
        source = f"s3://b/{RUN}/artifacts2/{OTHER}/x"
        assert copied(source, RUN, places=places) == ("s3://n/two/x", NEW_OTHER, "")

    @pytest.mark.parametrize("root", ["/data/a", "/data/a/", "file:///data/a", "file:/data/a"])
    @pytest.mark.parametrize("source", ["/data/a", "file:///data/a", "file:/data/a"])
    def test_files_are_spelled_in_several_ways(self, root: str, source: str) -> None:
        places = {Ref(Kind.RUN, RUN): Place(root, "mlflow-artifacts:/1/x/")}
        found = copied(f"{source}/m/", RUN, places=places)
        assert found == ("mlflow-artifacts:/1/x/m", NEW_RUN, "")
        assert copied(f"{source}b/m", RUN, places=places).source == f"{source}b/m"

    def test_an_unknown_place_leaves_the_source_as_it_is(self) -> None:
        assert copied(OF_RUN.original, RUN, places={}) == (OF_RUN.original, NEW_RUN, "")


PARTS = st.text("ab0:/m-%@. ", max_size=8)
SOURCES = st.one_of(
    st.text(max_size=20),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["models:/", "models:///", "runs:/", "s3://", "file://", ""]),
        st.sampled_from([RUN, MODEL, "churn/3", "churn", "m-", "/", OF_RUN.original]),
        PARTS,
    ),
)


@given(SOURCES, st.sampled_from(["", RUN, NOWHERE]))
def test_any_source_has_a_copy_or_is_refused(source: str, run_id: str) -> None:
    try:
        found = copied(source, run_id)
    except Refused:
        assert source.startswith("models:/")
        return
    assert found.run_id in {"", NEW_RUN} or source.startswith("runs:/")
    assert found.model_id in {"", NEW_MODEL}
    if source.startswith((f"runs:/{RUN}/", f"{OF_RUN.original}/")):
        assert found.run_id == NEW_RUN
        below = source.rstrip("/").partition(RUN)[2].removeprefix("/")
        assert found.source.rstrip("/").endswith(below)
        assert RUN not in found.source


@given(SOURCES)
def test_what_is_named_is_named_once_and_what_it_says_of_itself_first(source: str) -> None:
    named = named_by(version(source, run_id=OTHER, model_id="m-x"))
    assert named[:2] == [Ref(Kind.RUN, OTHER), Ref(Kind.LOGGED_MODEL, "m-x")]
    assert len(set(named)) == len(named)


def test_a_prompt_version_names_the_runs_that_used_it() -> None:
    tags = {PROMPT_RUNS_TAG: f"{RUN},{NOWHERE},{OTHER}", "team": "a"}
    prompt = version(f"runs:/{RUN}/x", kind=Kind.PROMPT_VERSION, tags=tags, run_id=RUN)
    assert named_by(prompt) == [Ref(Kind.RUN, ident) for ident in (RUN, NOWHERE, OTHER)]
    assert copied_prompt_tags(tags, COPIES) == (
        {PROMPT_RUNS_TAG: f"{NEW_RUN},{NEW_OTHER}", "team": "a"},
        [NOWHERE],
    )


def test_a_prompt_version_that_nobody_used_keeps_its_tags() -> None:
    for tags in ({"team": "a"}, {PROMPT_RUNS_TAG: ""}):
        assert copied_prompt_tags(tags, COPIES) == (tags, [])
