"""What a copy says about other runs and about itself, and what is cut to fit the target."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.stores import Identity
from migrate.endpoints.tracking.capabilities import FOUND_BY
from migrate.kinds import Kind
from migrate.objects import (
    MODEL_HISTORY_TAG,
    PARENT_RUN_TAG,
    ROOT_RUN_TAG,
    RUN_NAME_TAG,
    Loss,
    Metric,
    Run,
)
from migrate.origins import EARLIER, MARK, MIGRATION, ORIGIN, SOURCE
from migrate.tasks.batches import Policy
from migrate.tasks.references import (
    EVALUATION_DATASET,
    Wanted,
    copied_inputs,
    fit,
    keep_points,
    orphan_tags,
    wanted_copy,
    with_own_id,
)
from tests.graph.memory import ARCHIVE

POLICY = Policy(migration_id="m1")
OLD, NEW = "a" * 32, "b" * 32


def target(**changes: Any) -> Capabilities:
    fields: dict[str, Any] = {
        "description": "",
        "version": "3.17.2",
        "identity": "",
        "readable": frozenset(),
        "writable": frozenset(),
        "found_by": FOUND_BY,
    }
    return Capabilities(**fields | changes)


def run(**changes: Any) -> Run:
    fields: dict[str, Any] = {
        "run_id": OLD,
        "experiment_id": "1",
        "name": "n",
        "user_id": "ada",
        "status": "FINISHED",
        "start_time": 1,
        "end_time": 2,
    }
    return Run(**fields | changes)


def wanted(tags: dict[str, str], references: dict[str, str] | None = None) -> Wanted:
    return wanted_copy(run(tags=tags), references or {}, target(), POLICY)


BOOKKEEPING = {ORIGIN: OLD, MIGRATION: "m1"}


class TestReferences:
    def test_a_parent_that_is_copied_is_named_by_its_copy(self) -> None:
        tags = {PARENT_RUN_TAG: "parent", ROOT_RUN_TAG: "root", "team": "risk"}
        copy = wanted(tags, {"parent": "copy-of-parent", "root": "copy-of-root"})
        assert copy.run.tags == {
            PARENT_RUN_TAG: "copy-of-parent",
            ROOT_RUN_TAG: "copy-of-root",
            "team": "risk",
            **BOOKKEEPING,
        }
        assert copy.orphans == copy.warnings == ()

    @pytest.mark.parametrize("parent", ["nowhere", ""])
    def test_a_parent_that_is_not_copied_is_kept_as_a_source_tag_with_a_warning(
        self, parent: str
    ) -> None:
        copy = wanted({PARENT_RUN_TAG: parent, ROOT_RUN_TAG: "root"}, {"root": "copy-of-root"})
        assert copy.run.tags == {
            SOURCE + "parentRunId": parent,
            ROOT_RUN_TAG: "copy-of-root",
            **BOOKKEEPING,
        }
        assert copy.orphans == (PARENT_RUN_TAG,)
        (warning,) = copy.warnings
        assert f"{PARENT_RUN_TAG} names run {parent}" in warning

    def test_a_run_that_names_itself_names_its_copy_once_that_is_known(self) -> None:
        copy = wanted({ROOT_RUN_TAG: OLD, PARENT_RUN_TAG: "parent"}, {"parent": "p"})
        assert copy.late_tags == {ROOT_RUN_TAG: OLD}
        assert ROOT_RUN_TAG not in copy.run.tags
        assert copy.orphans == ()
        assert with_own_id(copy.late_tags, OLD, NEW) == {ROOT_RUN_TAG: NEW}

    def test_the_name_is_left_to_the_server_and_the_id_of_the_source_is_kept(self) -> None:
        assert wanted({RUN_NAME_TAG: "n"}).run.tags == BOOKKEEPING

    def test_a_parent_is_named_as_it_was_where_runs_keep_their_ids(self) -> None:
        kept = target(found_by={Kind.RUN: Identity.KEPT})
        tags = {PARENT_RUN_TAG: NEW, ROOT_RUN_TAG: OLD}
        found = wanted_copy(run(tags=tags), {}, kept, POLICY)
        assert {**found.run.tags, **found.late_tags}.items() >= tags.items()
        assert (found.orphans, found.warnings) == ((), ())

    def test_a_copy_of_a_copy_keeps_the_first_origin_beside_its_own(self) -> None:
        copy = wanted({ORIGIN: "first", MIGRATION: "m0", MARK: "1a.b", SOURCE + "parentRunId": "p"})
        assert copy.run.tags == {
            **BOOKKEEPING,
            EARLIER + "origin": "first",
            EARLIER + "migration": "m0",
            EARLIER + "source.parentRunId": "p",
        }

    def test_where_ids_are_kept_nothing_is_changed(self) -> None:
        original = run(tags={PARENT_RUN_TAG: "nowhere", RUN_NAME_TAG: "n", "long": "x" * 99})
        kept = target(**ARCHIVE, run_tag_length=5)
        assert wanted_copy(original, {}, kept, POLICY) == Wanted(run=original)

    @given(
        st.dictionaries(
            st.sampled_from([PARENT_RUN_TAG, ROOT_RUN_TAG]), st.sampled_from(["", OLD, "a", "b"])
        ),
        st.sets(st.sampled_from(["a", "b"])),
    )
    def test_no_reference_to_the_source_is_left_in_the_tags_mlflow_reads(
        self, tags: dict[str, str], copied: set[str]
    ) -> None:
        references = {run_id: f"copy-of-{run_id}" for run_id in copied}
        copy = wanted(tags, references)
        written = {**copy.run.tags, **with_own_id(copy.late_tags, OLD, NEW)}
        for tag, named in tags.items():
            kept = written.get(SOURCE + tag.removeprefix("mlflow."))
            if tag in copy.orphans:
                assert tag not in written
                assert kept == named
            else:
                assert written[tag] == {**references, OLD: NEW}[named]
                assert kept is None
        assert copy.orphans == orphan_tags(run(tags=tags), references)


class TestModelHistory:
    def entries(self, *run_ids: str) -> list[dict[str, Any]]:
        return [
            {"run_id": run_id, "artifact_path": f"path/{run_id}", "flavors": {"ünï": [1, None]}}
            for run_id in run_ids
        ]

    def rewritten(self, text: str) -> str:
        copy = wanted({MODEL_HISTORY_TAG: text})
        assert MODEL_HISTORY_TAG not in copy.run.tags
        return with_own_id(copy.late_tags, OLD, NEW)[MODEL_HISTORY_TAG]

    def test_only_the_run_id_of_entries_of_this_run_changes(self) -> None:
        text = json.dumps(self.entries(OLD, "another", OLD))
        expected = self.entries(OLD, "another", OLD)
        expected[0]["run_id"] = expected[2]["run_id"] = NEW
        assert json.loads(self.rewritten(text)) == expected

    @pytest.mark.parametrize(
        "text",
        ["", "not JSON", '[{"run_id": "' + OLD, '{"run_id": "' + OLD + '"}', "null", "[" * 8000],
        ids=["empty", "text", "cut off", "an object", "null", "too deep"],
    )
    def test_what_mlflow_would_not_write_is_kept_as_it_is(self, text: str) -> None:
        assert self.rewritten(text) == text

    def test_entries_of_odd_shape_are_kept(self) -> None:
        text = json.dumps([None, 7, "x", {"no": "run_id"}, {"run_id": None}])
        assert json.loads(self.rewritten(text)) == json.loads(text)


class TestLimits:
    def test_a_value_at_the_limit_is_kept_and_one_above_is_cut_with_a_loss(self) -> None:
        original = run(params={"fits": "x" * 5, "long": "🦆" * 6}, tags={"t": "y" * 9})
        cut, losses, _ = fit(original, target(param_length=5, run_tag_length=8), POLICY)
        assert cut.params == {"fits": "x" * 5, "long": "🦆" * 5}
        assert cut.tags == {"t": "y" * 8}
        assert losses == (
            Loss("param long", "6 characters, the target holds 5"),
            Loss("tag t", "9 characters, the target holds 8"),
        )

    def test_a_name_that_is_too_long_is_cut(self) -> None:
        cut, losses, _ = fit(run(name="a" * 9), target(run_name_length=8), POLICY)
        assert cut.name == "a" * 8
        assert losses == (Loss("name", "9 characters, the target holds 8"),)

    def test_the_character_0_is_replaced_and_told_where_the_target_does_not_hold_it(self) -> None:
        original = run(name="a\0", params={"p": "\0", "q\0": "v"}, tags={"t": "a\0b", "u": "v"})
        assert fit(original, target(), POLICY)[1] == ()
        cut, losses, _ = fit(original, target(holds_nul=False), POLICY)
        assert (cut.name, cut.params) == ("a\ufffd", {"p": "\ufffd"})
        assert cut.tags == {"t": "a\ufffdb", "u": "v"}
        assert [loss.what for loss in losses] == ["name", "param p", "param q\0", "tag t"]

    def test_keys_the_target_refuses_are_left_out_with_a_loss(self) -> None:
        long_key = "k" * 7
        original = run(
            params={"a:b": "1", "ok": "1"},
            tags={long_key: "1"},
            latest_metrics=(Metric("a:b", 1, 1, 1), Metric("ok", 1, 1, 1)),
        )
        cut, losses, dropped = fit(
            original, target(metric_key_length=6, colon_in_keys=False), POLICY
        )
        assert (cut.params, cut.tags, dropped) == ({"ok": "1"}, {}, frozenset({"a:b"}))
        assert [loss.what for loss in losses] == ["param a:b", f"tag {long_key}", "metric a:b"]
        points = [Metric("a:b", 1, 1, 1), Metric("ok", 2, 1, 1)]
        assert keep_points(points, dropped) == points[1:]
        assert keep_points(points, frozenset()) is points

    def test_dataset_inputs_a_target_does_not_know_are_a_loss(self) -> None:
        original = run(inputs=({"dataset": {}, "tags": []},) * 3)
        cut, losses, _ = fit(original, target(dataset_inputs=False), POLICY)
        assert cut.inputs == ()
        assert losses == (Loss("3 dataset inputs", "the target has no such thing"),)

    def test_a_schema_too_long_for_the_target_is_left_out_and_nothing_else_of_its_dataset(
        self,
    ) -> None:
        fits = {"name": "a", "digest": "1", "schema": "x" * 10}
        inputs = tuple(
            {"dataset": {**fits, "name": name, "schema": "x" * length}, "tags": [{"key": name}]}
            for name, length in (("a", 10), ("b", 11))
        )
        cut, losses, _ = fit(run(inputs=inputs), target(dataset_schema_length=10), POLICY)
        assert cut.inputs == (inputs[0], {**inputs[1], "dataset": {"name": "b", "digest": "1"}})
        assert losses == (
            Loss("schema of dataset input 'b' (1)", "left out: 11 characters, the target holds 10"),
        )
        assert fit(run(inputs=inputs), target(), POLICY)[0].inputs == inputs

    @given(
        st.dictionaries(st.text("ab:", max_size=4), st.text(max_size=6)),
        st.none() | st.integers(1, 5),
        st.booleans(),
    )
    def test_what_is_cut_fits_and_all_that_is_missing_is_told(
        self, values: dict[str, str], limit: int | None, colon: bool
    ) -> None:
        limits = target(param_length=limit, run_tag_length=limit, colon_in_keys=colon)
        cut, losses, _ = fit(run(params=values, tags=values), limits, POLICY)
        for word, kept in (("param", cut.params), ("tag", cut.tags)):
            told = {loss.what for loss in losses if loss.what.startswith(word)}
            assert told == {f"{word} {key}" for key in values if kept.get(key) != values[key]}
            assert all(limit is None or len(value) <= limit for value in kept.values())
        assert fit(cut, limits, POLICY)[:2] == (cut, ())


class TestEvaluationDatasets:
    def item(self, source: str, source_type: str = EVALUATION_DATASET) -> dict[str, Any]:
        dataset = {"name": "d", "digest": "1", "source_type": source_type, "source": source}
        return {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "eval"}]}

    def test_the_id_of_one_is_kept_in_a_tag_of_the_input_with_a_warning(self) -> None:
        named = self.item(json.dumps({"dataset_id": "d-1"}))
        copied = wanted_copy(run(inputs=(named,)), {}, target(), POLICY)
        (item,) = copied.run.inputs
        assert item["dataset"]["source"] == json.dumps({"dataset_id": ""})
        assert item["tags"] == [*named["tags"], {"key": SOURCE + "dataset_id", "value": "d-1"}]
        assert any("evaluation dataset d-1" in text for text in copied.warnings)
        # A copy of the copy says it once, without another warning.
        again = wanted_copy(run(inputs=copied.run.inputs), {}, target(), POLICY)
        assert again.run.inputs == copied.run.inputs
        assert again.warnings == ()

    def test_with_a_copy_of_it_the_input_names_that(self) -> None:
        named = self.item(json.dumps({"dataset_id": "d-1"}))
        copied = wanted_copy(run(inputs=(named,)), {}, target(), POLICY, {"d-1": "d-2"})
        (item,) = copied.run.inputs
        assert item["dataset"]["source"] == json.dumps({"dataset_id": "d-2"})
        assert item["tags"] == [*named["tags"], {"key": SOURCE + "dataset_id", "value": "d-1"}]
        assert copied.warnings == ()
        # Of a copy of the copy, the tag names the first source's.
        again = wanted_copy(copied.run, {}, target(), POLICY, {"d-2": "d-3"}).run.inputs[0]
        assert again["dataset"]["source"] == json.dumps({"dataset_id": "d-3"})
        assert again["tags"] == item["tags"]

    @pytest.mark.parametrize("source", ["", "no JSON", "[]", "{}", '{"dataset_id": null}'])
    def test_what_names_none_stays_as_it_is(self, source: str) -> None:
        assert copied_inputs([self.item(source)]) == ((self.item(source),), ())

    def test_inputs_of_other_kinds_and_exports_stay_as_they_are(self) -> None:
        named = json.dumps({"dataset_id": "d-1"})
        other = self.item(named, source_type="local")
        assert copied_inputs([other]) == ((other,), ())
        kept = run(inputs=(self.item(named),))
        assert wanted_copy(kept, {}, target(**ARCHIVE), POLICY).run == kept
