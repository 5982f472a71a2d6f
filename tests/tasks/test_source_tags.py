"""What copies say of their originals under the names of another tool, and when they say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from migrate.kinds import Kind
from migrate.objects import Experiment, ModelVersion, RegisteredModel, Run, VersionRun
from migrate.origins import EARLIER, ORIGIN
from migrate.tasks.batches import Policy
from migrate.tasks.source_tags import (
    experiment_tags,
    model_tags,
    run_tags,
    version_tags,
    without_unasked,
)

NONE = Policy(migration_id="m1")
ASKED = Policy(migration_id="m1", source_tags=True)
#: 2021-03-04 05:06:07 UTC, and a fraction of a second.
TIME = 1_614_834_367_089

RUN = Run(
    run_id="a",
    experiment_id="7",
    name="first",
    user_id="ada",
    status="RUNNING",
    start_time=TIME,
    end_time=None,
    artifact_uri="s3://old/7/a",
    tags={
        "team": "risk",
        "mlflow.user": "bob",
        "mlflow.runName": "first",
        "mlflow.parentRunId": "p",
        "mlflow.source.git.commit": "0a1b",
        "mlflow.of.mlflow.twice": "x",
    },
)


def added(tags: dict[str, str], before: Any) -> dict[str, str]:
    """Return what is new in tags that still have all of those before."""
    assert before.items() <= tags.items()
    return {key: value for key, value in tags.items() if key not in before}


def test_a_run_says_all_of_its_info_and_of_mlflows_tags() -> None:
    assert added(run_tags(RUN, ASKED), RUN.tags) == {
        "mlflow_exim.run_info.run_id": "a",
        "mlflow_exim.run_info.experiment_id": "7",
        "mlflow_exim.run_info.user_id": "ada",
        "mlflow_exim.run_info.status": "RUNNING",
        "mlflow_exim.run_info.start_time": "1614834367089",
        "mlflow_exim.run_info.end_time": "None",
        "mlflow_exim.run_info.lifecycle_stage": "active",
        "mlflow_exim.run_info.artifact_uri": "s3://old/7/a",
        "mlflow_exim.run_info.run_name": "first",
        "mlflow_exim.run_info._start_time": "2021-03-04 05:06:07",
        "mlflow_exim.run_info._end_time": "None",
        "mlflow_exim.mlflow_tag.user": "bob",
        "mlflow_exim.mlflow_tag.runName": "first",
        "mlflow_exim.mlflow_tag.parentRunId": "p",
        "mlflow_exim.mlflow_tag.source.git.commit": "0a1b",
        "mlflow_exim.mlflow_tag.of.twice": "x",
    }


def test_an_experiment_says_all_of_its_fields_and_of_mlflows_tags() -> None:
    experiment = Experiment(
        experiment_id="7",
        name="fraud",
        tags={"team": "risk", "mlflow.note.content": "why"},
        artifact_location="s3://old/7",
        creation_time=TIME,
        last_update_time=TIME + 1000,
    )
    assert added(experiment_tags(experiment, ASKED), experiment.tags) == {
        "mlflow_exim.field.experiment_id": "7",
        "mlflow_exim.field.name": "fraud",
        "mlflow_exim.field.artifact_location": "s3://old/7",
        "mlflow_exim.field.lifecycle_stage": "active",
        "mlflow_exim.field.creation_time": "1614834367089",
        "mlflow_exim.field.last_update_time": "1614834368089",
        "mlflow_exim.field._creation_time": "2021-03-04 05:06:07",
        "mlflow_exim.field._last_update_time": "2021-03-04 05:06:08",
        "mlflow_exim.mlflow_tag.note.content": "why",
    }


def test_a_registered_model_says_as_much() -> None:
    model = RegisteredModel(
        name="churn",
        description="of customers",
        tags={"team": "risk", "mlflow.odd": "x"},
        aliases={"champion": 3, "beta": 4},
        creation_time=TIME,
        last_update_time=None,
    )
    assert added(model_tags(model, ASKED), model.tags) == {
        "mlflow_exim.field.name": "churn",
        "mlflow_exim.field.creation_timestamp": "1614834367089",
        "mlflow_exim.field.last_updated_timestamp": "None",
        "mlflow_exim.field.description": "of customers",
        "mlflow_exim.field.aliases": (
            "[{'alias': 'beta', 'version': '4'}, {'alias': 'champion', 'version': '3'}]"
        ),
        "mlflow_exim.field._creation_timestamp": "2021-03-04 05:06:07",
        "mlflow_exim.field._last_updated_timestamp": "None",
        "mlflow_exim.mlflow_tag.odd": "x",
    }


VERSION = ModelVersion(
    name="churn",
    version=3,
    source="runs:/a/model",
    run_id="a",
    run_link="https://old/a",
    model_id="m-1",
    description="third",
    tags={"team": "risk", "mlflow.odd": "x"},
    aliases=("beta", "champion"),
    stage="Production",
    status="FAILED_REGISTRATION",
    status_message="no files",
    user_id="ada",
    creation_time=TIME,
    last_update_time=TIME,
)
OF_VERSION = {
    "mlflow_exim.field.name": "churn",
    "mlflow_exim.field.version": "3",
    "mlflow_exim.field.creation_timestamp": "1614834367089",
    "mlflow_exim.field.last_updated_timestamp": "1614834367089",
    "mlflow_exim.field.description": "third",
    "mlflow_exim.field.user_id": "ada",
    "mlflow_exim.field.current_stage": "Production",
    "mlflow_exim.field.source": "runs:/a/model",
    "mlflow_exim.field.run_id": "a",
    "mlflow_exim.field.run_link": "https://old/a",
    "mlflow_exim.field.status": "FAILED_REGISTRATION",
    "mlflow_exim.field.status_message": "no files",
    "mlflow_exim.field.aliases": "['beta', 'champion']",
    "mlflow_exim.field.model_id": "m-1",
    "mlflow_exim.field._creation_timestamp": "2021-03-04 05:06:07",
    "mlflow_exim.field._last_updated_timestamp": "2021-03-04 05:06:07",
}
OF_RUN = {
    "mlflow_exim.field._run_artifact_uri": "s3://old/7/a",
    "mlflow_exim.field._experiment_name": "fraud",
}


def test_a_version_says_all_of_its_fields_and_where_its_run_is() -> None:
    run = VersionRun("s3://old/7/a", "fraud")
    assert added(version_tags(VERSION, ASKED, run), VERSION.tags) == OF_VERSION | OF_RUN
    assert added(version_tags(VERSION, ASKED), VERSION.tags) == OF_VERSION


def test_what_only_the_task_knows_is_written_first_so_that_its_lack_shows() -> None:
    run = VersionRun("s3://old/7/a", "fraud")
    names = list(added(version_tags(VERSION, ASKED, run), VERSION.tags))
    assert set(names[:2]) == OF_RUN.keys()


def test_what_an_old_server_does_not_tell_is_none() -> None:
    old = ModelVersion(name="churn", version=1, source="s3://old/1", creation_time=TIME)
    tags = version_tags(old, ASKED)
    assert tags.keys() == OF_VERSION.keys()
    assert tags["mlflow_exim.field.model_id"] == "None"
    assert tags["mlflow_exim.field.last_updated_timestamp"] == "None"
    assert tags["mlflow_exim.field.current_stage"] == "None"
    assert (tags["mlflow_exim.field.run_id"], tags["mlflow_exim.field.aliases"]) == ("", "[]")

    experiment = experiment_tags(Experiment(experiment_id="7", name="fraud"), ASKED)
    assert experiment["mlflow_exim.field.creation_time"] == "None"
    assert experiment["mlflow_exim.field._creation_time"] == "None"


def test_prompts_say_nothing_of_it() -> None:
    prompt = RegisteredModel(name="greeting", kind=Kind.PROMPT, tags={"team": "risk"})
    assert model_tags(prompt, ASKED) == prompt.tags
    version = ModelVersion(
        name="greeting", version=1, kind=Kind.PROMPT_VERSION, tags={"mlflow.prompt.text": "hi"}
    )
    assert version_tags(version, ASKED, VersionRun("x", "y")) == version.tags


def test_without_the_option_tags_are_those_of_the_source() -> None:
    assert run_tags(RUN, NONE) == RUN.tags
    assert version_tags(VERSION, NONE, VersionRun("x", "y")) == VERSION.tags


def test_those_of_an_earlier_migration_are_replaced_and_none_is_nested() -> None:
    again = Run(
        run_id="b",
        experiment_id="8",
        name="first",
        user_id="ada",
        status="FINISHED",
        start_time=TIME,
        end_time=TIME,
        tags={**run_tags(RUN, ASKED), ORIGIN: "a", EARLIER + "origin": "0"},
    )
    tags = run_tags(again, ASKED)
    assert tags["mlflow_exim.run_info.run_id"] == "b"
    assert tags["mlflow_exim.run_info.end_time"] == "1614834367089"
    assert tags.keys() == again.tags.keys()


@pytest.mark.parametrize(
    ("user_id", "asked", "becomes"),
    [("ada", True, "ada"), ("ada", False, "bob"), ("", True, "bob")],
)
def test_the_user_tag_names_the_user_of_the_source_where_that_is_asked_for(
    user_id: str, asked: bool, becomes: str
) -> None:
    run = Run(
        run_id="a",
        experiment_id="7",
        name="",
        user_id=user_id,
        status="FINISHED",
        start_time=0,
        end_time=0,
        tags={"mlflow.user": "bob"},
    )
    assert run_tags(run, Policy(migration_id="m1", source_user=asked)) == {"mlflow.user": becomes}
    both = run_tags(run, Policy(migration_id="m1", source_user=asked, source_tags=True))
    assert both["mlflow_exim.mlflow_tag.user"] == "bob"


def test_source_tags_that_nobody_asks_for_now_are_no_difference() -> None:
    there = {"team": "risk", "mlflow_exim.field.name": "x", "mlflow_exim.field.version": "3"}
    wanted = {"team": "risk", "mlflow_exim.field.name": "y"}
    assert without_unasked(there, wanted, NONE) == {
        "team": "risk",
        "mlflow_exim.field.name": "x",
    }
    assert without_unasked(there, wanted, ASKED) == there
