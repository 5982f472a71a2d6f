"""What copies of registered models, versions and logged models become, and when they change."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.capabilities import FOUND_BY
from migrate.kinds import Kind, Ref
from migrate.objects import (
    MODEL_VERSIONS_TAG,
    LoggedModel,
    Metric,
    ModelLinks,
    ModelMetric,
    ModelOutput,
    ModelVersion,
    RegisteredModel,
)
from migrate.origins import MIGRATION, ORIGIN, PREFIX, SOURCE
from migrate.outcomes import Loss
from migrate.tasks.batches import Policy
from migrate.tasks.logged_model import FLATTENED, links_to, wanted_model
from migrate.tasks.model_marks import (
    facts_of,
    model_mark,
    quick_model_mark,
    runs_named,
    true_metrics,
)
from migrate.tasks.model_version import changes_of_version, needs_write, wanted_version
from migrate.tasks.registered_model import (
    PROMPT_EXPERIMENTS_TAG,
    REPLACES,
    changes_of_model,
    is_copy_of,
    is_up_to_date,
    wanted_registered_model,
)
from migrate.tasks.version_sources import VersionSource
from tests.graph.memory import ARCHIVE, MemoryServer
from tests.tasks.strategies import MAPPINGS, TEXTS, TIMES, VALUES, WORDS


def can(**changes: Any) -> Capabilities:
    fields: dict[str, Any] = {
        "description": "",
        "version": "3.17.2",
        "identity": "",
        "readable": frozenset(),
        "writable": frozenset(),
        "found_by": FOUND_BY,
    }
    return Capabilities(**fields | changes)


ALIASES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 3))
REGISTERED = st.builds(
    RegisteredModel,
    name=WORDS,
    kind=st.sampled_from([Kind.REGISTERED_MODEL, Kind.PROMPT]),
    description=TEXTS,
    tags=MAPPINGS,
    aliases=ALIASES,
    creation_time=st.none() | TIMES,
    last_update_time=st.none() | TIMES,
)
VERSIONS = st.builds(
    ModelVersion,
    name=WORDS,
    version=st.integers(1, 99),
    source=WORDS,
    run_id=st.sampled_from(["", "a" * 32]),
    description=TEXTS,
    tags=MAPPINGS,
    aliases=st.sets(st.sampled_from("abc")).map(lambda names: tuple(sorted(names))),
    stage=st.sampled_from(["None", "Production"]),
    status=st.sampled_from(["READY", "FAILED_REGISTRATION"]),
    user_id=TEXTS,
    creation_time=st.none() | TIMES,
    last_update_time=st.none() | TIMES,
)
EARLIER, NOW = Policy(migration_id="m1"), Policy(migration_id="m2", replaces="m2")


class TestRegisteredModels:
    @given(REGISTERED, st.integers(1, 9))
    def test_a_copy_of_any_is_up_to_date_whoever_asks(
        self, model: RegisteredModel, later: int
    ) -> None:
        copy = wanted_registered_model(model, {}, can(), EARLIER)[0]
        copy = dataclasses.replace(copy, creation_time=9, tags={**copy.tags, "theirs": "x"})
        assert is_copy_of(copy, model)
        now = dataclasses.replace(model, last_update_time=model.last_update_time and later)
        for policy in (EARLIER, NOW):
            wanted = wanted_registered_model(now, {}, can(), policy)[0]
            assert is_up_to_date(copy, wanted, now)

    @given(REGISTERED, MAPPINGS, TEXTS)
    def test_what_the_source_says_anew_is_what_a_copy_becomes(
        self, model: RegisteredModel, tags: dict[str, str], description: str
    ) -> None:
        copy = wanted_registered_model(model, {}, can(), EARLIER)[0]
        now = dataclasses.replace(model, tags={**model.tags, **tags}, description=description)
        wanted = wanted_registered_model(now, {}, can(), NOW)[0]
        changed = changes_of_model(copy, wanted, now)
        assert changed.description == description
        assert now.tags.items() <= changed.tags.items()
        assert changed.tags[MIGRATION] == "m1"
        assert is_up_to_date(changed, wanted, now)
        same = (description, now.tags) == (model.description, model.tags)
        assert is_up_to_date(copy, wanted, now) == same

    @given(REGISTERED, REGISTERED)
    def test_one_that_was_there_before_keeps_all_it_has(
        self, model: RegisteredModel, theirs: RegisteredModel
    ) -> None:
        wanted = wanted_registered_model(model, {}, can(), EARLIER)[0]
        changed = changes_of_model(theirs, wanted, model)
        assert changed.description == (theirs.description or model.description)
        assert changed.tags == {**model.tags, **theirs.tags}
        assert not is_copy_of(changed, model)
        assert is_up_to_date(changed, wanted, model)

    def test_one_made_anew_says_by_which_plan(self) -> None:
        model = RegisteredModel(name="churn", creation_time=5)
        wanted = wanted_registered_model(model, {}, can(), NOW)[0]
        assert (wanted.tags[ORIGIN], wanted.tags[REPLACES]) == ("churn@5", "m2")

    def test_a_prompt_names_the_copies_of_its_experiments(self) -> None:
        tags = {PROMPT_EXPERIMENTS_TAG: ",1,2,"}
        prompt = RegisteredModel(name="hi", kind=Kind.PROMPT, tags=tags)
        one = {Ref(Kind.EXPERIMENT, "1"): "71"}
        copy = wanted_registered_model(prompt, one, can(), EARLIER)[0]
        assert copy.tags[PROMPT_EXPERIMENTS_TAG] == ",71,"
        assert copy.tags[SOURCE + "experiment_ids"] == "1,2"
        both = {**one, Ref(Kind.EXPERIMENT, "2"): "72"}
        copy = wanted_registered_model(prompt, both, can(), EARLIER)[0]
        assert copy.tags[PROMPT_EXPERIMENTS_TAG] == ",71,72,"
        assert SOURCE + "experiment_ids" not in copy.tags

    def test_tags_are_cut_to_what_the_target_holds(self) -> None:
        model = RegisteredModel(name="churn", tags={"long": "x" * 11, "short": "x" * 10})
        copy, losses = wanted_registered_model(model, {}, can(model_tag_length=10), EARLIER)
        assert (copy.tags["long"], copy.tags["short"]) == ("x" * 10, "x" * 10)
        assert losses == (Loss("tag long", "11 characters, the target holds 10"),)
        assert is_up_to_date(copy, copy, model)

    @given(REGISTERED)
    def test_where_ids_are_kept_a_copy_is_as_it_was(self, model: RegisteredModel) -> None:
        assert wanted_registered_model(model, {}, can(**ARCHIVE), NOW) == (model, ())
        assert is_up_to_date(model, model, model)


PLACE = VersionSource("s3://new", "b" * 32)


def wanted_of(version: ModelVersion, migration: str = "m1") -> ModelVersion:
    return wanted_version(
        version, version.name, PLACE, {}, can(), Policy(migration_id=migration)
    ).version


class TestVersions:
    @given(VERSIONS, st.integers(1, 9))
    def test_a_copy_of_any_needs_no_write_whoever_asks(
        self, version: ModelVersion, later: int
    ) -> None:
        copy = dataclasses.replace(wanted_of(version), version=7, creation_time=8)
        now = dataclasses.replace(version, last_update_time=version.last_update_time and later)
        assert not needs_write(copy, wanted_of(version, "m2"))
        assert not needs_write(copy, wanted_of(now, "m2"))

    @given(VERSIONS, VERSIONS)
    def test_what_the_source_says_anew_is_what_a_copy_becomes(
        self, version: ModelVersion, now: ModelVersion
    ) -> None:
        now = dataclasses.replace(
            now,
            **{name: getattr(version, name) for name in ("name", "version", "source", "run_id")},
            creation_time=version.creation_time,
        )
        copy = dataclasses.replace(wanted_of(version), version=7, creation_time=8)
        wanted = wanted_of(now, "m2")
        changed = changes_of_version(copy, wanted)
        assert (changed.description, changed.stage) == (now.description, now.stage)
        assert now.tags.items() <= changed.tags.items()
        assert set(changed.aliases) == {*version.aliases, *now.aliases}
        assert (changed.version, changed.source, changed.run_id) == (7, *PLACE[:2])
        assert changed.tags[MIGRATION] == "m1"
        assert not needs_write(changed, wanted)

    def test_what_cannot_be_set_is_kept_in_tags(self) -> None:
        version = ModelVersion(
            name="churn",
            version=3,
            source="s3://old",
            run_id="a" * 32,
            status="FAILED_REGISTRATION",
            user_id="ada",
            creation_time=5,
            last_update_time=6,
        )
        found = wanted_version(version, "churn", VersionSource("s3://old"), {}, can(), EARLIER)
        assert found.version.tags == {
            ORIGIN: "churn/3@5",
            MIGRATION: "m1",
            SOURCE + "creation_time": "5",
            SOURCE + "last_update_time": "6",
            SOURCE + "user_id": "ada",
            SOURCE + "status": "FAILED_REGISTRATION",
            SOURCE + "run_id": "a" * 32,
        }
        assert "not among the runs copied" in found.warnings[0]
        assert SOURCE + "source" in wanted_of(version).tags

    def test_a_stage_is_lost_where_there_are_none(self) -> None:
        version = ModelVersion(name="churn", version=1, stage="Production")
        found = wanted_version(version, "churn", PLACE, {}, can(stages=False), EARLIER)
        assert found.version.stage == "None"
        assert [loss.what for loss in found.losses] == ["stage Production"]

    @given(VERSIONS)
    def test_where_ids_are_kept_a_copy_is_as_it_was(self, version: ModelVersion) -> None:
        found = wanted_version(version, version.name, PLACE, {}, can(**ARCHIVE), EARLIER)
        assert found.version == version
        assert not needs_write(version, version)


RUNS = st.sampled_from(["r1", "r2", "r3"])
METRICS = st.builds(
    ModelMetric,
    key=st.sampled_from("ab"),
    value=VALUES,
    timestamp=st.integers(0, 2),
    step=st.integers(0, 2),
    run_id=RUNS,
    dataset_name=st.sampled_from(["", "wine"]),
)
LOGGED = st.builds(
    LoggedModel,
    model_id=st.just("m-1"),
    experiment_id=st.just("1"),
    name=WORDS,
    model_type=TEXTS,
    source_run_id=st.just("") | RUNS,
    params=MAPPINGS,
    tags=MAPPINGS,
    metrics=st.lists(METRICS, max_size=4).map(tuple),
)
LINKS = st.dictionaries(
    RUNS,
    st.builds(
        ModelLinks,
        st.sampled_from([(), ("m-1",)]),
        st.sampled_from([(), (ModelOutput("m-1", 3),)]),
    ),
)


class TestLoggedModels:
    @given(LOGGED, LINKS, st.sets(RUNS), st.randoms())
    def test_a_mark_does_not_depend_on_order_nor_on_what_servers_add(
        self, model: LoggedModel, links: dict[str, ModelLinks], known: set[str], random: Any
    ) -> None:
        metrics = list(model.metrics)
        random.shuffle(metrics)
        other = dataclasses.replace(
            model,
            metrics=tuple(metrics),
            tags={**model.tags, MODEL_VERSIONS_TAG: "[1]"},
            params=dict(reversed(model.params.items())),
            last_update_time=99,
        )
        again = dict(reversed(links.items()))
        mark = quick_model_mark(facts_of(model), links, known)
        assert quick_model_mark(facts_of(other), again, known) == mark

    @given(LOGGED, LINKS)
    def test_a_run_that_comes_later_changes_the_mark_if_the_model_has_to_do_with_it(
        self, model: LoggedModel, links: dict[str, ModelLinks]
    ) -> None:
        facts = facts_of(model)
        links = {run: named for run, named in links.items() if named.model_ids}
        before, after = (quick_model_mark(facts, links, known) for known in (set(), {"r1"}))
        assert (before != after) == ("r1" in runs_named(facts, links))

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "other"},
            {"model_type": "x"},
            {"status": "PENDING"},
            {"lifecycle_stage": "deleted"},
            {"params": {"a": "1"}},
            {"tags": {"a": "1"}},
            {"source_run_id": "r1"},
            {"metrics": (ModelMetric("a", math.nan, 0, 0, "r1"),)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_every_change_is_seen(self, change: dict[str, Any]) -> None:
        model = LoggedModel(model_id="m-1", experiment_id="1", name="n")
        marks = [
            quick_model_mark(facts_of(item), {}, {"r1"})
            for item in (model, dataclasses.replace(model, **change))
        ]
        assert marks[0] != marks[1]
        assert model_mark(marks[0], ()).partition(".")[0] == marks[0]

    @given(LOGGED, st.sets(RUNS))
    def test_a_copy_has_what_was_logged_in_runs_that_are_copied(
        self, model: LoggedModel, known: set[str]
    ) -> None:
        references = {run: f"new-{run}" for run in known}
        found = wanted_model(model, {}, references, can(), "m1")
        kept = [metric for metric in model.metrics if metric.run_id in known]
        assert [metric.run_id for metric in found.model.metrics] == [
            f"new-{metric.run_id}" for metric in kept
        ]
        assert bool(found.losses) == (len(kept) < len(model.metrics))
        assert found.model.source_run_id == references.get(model.source_run_id, "")
        orphan = bool(model.source_run_id) and model.source_run_id not in known
        assert (SOURCE + "source_run_id" in found.model.tags) == orphan == bool(found.warnings)
        theirs = {k: v for k, v in found.model.tags.items() if not k.startswith(PREFIX)}
        assert theirs == model.tags

    def test_where_runs_keep_their_ids_so_does_what_names_one_that_is_not_copied(self) -> None:
        model = LoggedModel(model_id="m-1", experiment_id="1", name="n", source_run_id="r9")
        keeps = can(found_by={**FOUND_BY, Kind.RUN: Identity.KEPT})
        found = wanted_model(model, {}, {}, keeps, "m1")
        assert found.model.source_run_id == found.model.tags[SOURCE + "source_run_id"] == "r9"
        assert len(found.warnings) == 1

    def test_flattened_it_loses_all_but_its_files(self) -> None:
        model = LoggedModel(model_id="m-1", experiment_id="1", name="n")
        assert wanted_model(model, {}, {}, can(flattens_models=True), "m1").losses == (FLATTENED,)

    def test_links_are_those_of_one_model(self) -> None:
        links = {
            "r1": ModelLinks(("m-1", "m-2"), (ModelOutput("m-2", 1),)),
            "r2": ModelLinks((), (ModelOutput("m-1", 4), ModelOutput("m-2", 5))),
            "r3": ModelLinks(("m-2",)),
        }
        assert links_to("m-1", links) == {
            "r1": ModelLinks(("m-1",)),
            "r2": ModelLinks((), (ModelOutput("m-1", 4),)),
        }

    def test_a_zero_that_is_nan_for_the_run_is_nan(self) -> None:
        source = MemoryServer()
        points = [Metric("a", math.nan, 5, 0), Metric("a", 0.0, 5, 1), Metric("b", 1.0, 5, 0)]
        source.points["r1"] = points
        metrics = [
            ModelMetric("a", 0.0, 5, 0, "r1"),
            ModelMetric("a", 0.0, 5, 1, "r1"),
            ModelMetric("a", 0.0, 6, 0, "r1"),
            ModelMetric("b", 1.0, 5, 0, "r1"),
            ModelMetric("a", 0.0, 5, 0, ""),
        ]
        found = true_metrics(source, metrics)
        assert [math.isnan(metric.value) for metric in found] == [True, False, False, False, False]
        assert found[1:] == tuple(metrics[1:])

    def test_runs_without_a_zero_are_not_read(self) -> None:
        metrics = (ModelMetric("a", 0.5, 5, 0, "nowhere"),)
        assert true_metrics(MemoryServer(), metrics) == metrics
