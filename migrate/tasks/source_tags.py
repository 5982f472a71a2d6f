"""Tags that say what an object was at its source, under the names mlflow-export-import uses. Pure.

What ``--import-source-tags`` and ``--use-src-user-id`` add to the tags of copies. Names and values
are those that mlflow-export-import writes (read back from servers it had written to), so whoever
searches for them finds copies of either tool. It leaves out registered models, of which its
documentation says the same as of their versions.
"""

from __future__ import annotations

from collections.abc import Mapping

from migrate.kinds import Kind
from migrate.objects import (
    NO_RUN,
    USER_TAG,
    Experiment,
    ModelVersion,
    RegisteredModel,
    Run,
    VersionRun,
    readable_time,
    run_info,
)
from migrate.tasks.batches import Policy

#: Every source tag begins so.
PREFIX = "mlflow_exim."
RUN_INFO = PREFIX + "run_info."
FIELD = PREFIX + "field."
MLFLOW_TAG = PREFIX + "mlflow_tag."
_MLFLOW = "mlflow."


def run_tags(run: Run, policy: Policy) -> dict[str, str]:
    """Return the tags of a run with those that the user asked for."""
    tags = dict(run.tags)
    if policy.source_tags:
        tags |= _of_mlflow_tags(run.tags)
        tags |= _texts(RUN_INFO, run_info(run))
    if policy.source_user and run.user_id:
        tags[USER_TAG] = run.user_id
    return tags


def experiment_tags(experiment: Experiment, policy: Policy) -> dict[str, str]:
    """Return the tags of an experiment with those that the user asked for."""
    if not policy.source_tags:
        return dict(experiment.tags)
    fields = {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": experiment.lifecycle_stage,
        "creation_time": experiment.creation_time,
        "last_update_time": experiment.last_update_time,
        "_creation_time": readable_time(experiment.creation_time),
        "_last_update_time": readable_time(experiment.last_update_time),
    }
    return {**experiment.tags, **_of_mlflow_tags(experiment.tags), **_texts(FIELD, fields)}


def model_tags(model: RegisteredModel, policy: Policy) -> dict[str, str]:
    """Return the tags of a registered model with those that the user asked for; none of prompts."""
    if not policy.source_tags or model.kind is Kind.PROMPT:
        return dict(model.tags)
    fields = {
        "name": model.name,
        "creation_timestamp": model.creation_time,
        "last_updated_timestamp": model.last_update_time,
        "description": model.description,
        "aliases": [
            {"alias": alias, "version": str(number)}
            for alias, number in sorted(model.aliases.items())
        ],
        "_creation_timestamp": readable_time(model.creation_time),
        "_last_updated_timestamp": readable_time(model.last_update_time),
    }
    return {**model.tags, **_of_mlflow_tags(model.tags), **_texts(FIELD, fields)}


def version_tags(version: ModelVersion, policy: Policy, run: VersionRun = NO_RUN) -> dict[str, str]:
    """Return the tags of a version with those that the user asked for; none of prompts' versions.

    ``run`` is what its run says; of that, nothing is written that is not known.
    """
    if not policy.source_tags or version.is_of_prompt:
        return dict(version.tags)
    of_run = {"_run_artifact_uri": run.artifact_uri, "_experiment_name": run.experiment_name}
    fields = {
        # First, so that they are there when the others are: a plan knows only these.
        **{key: text for key, text in of_run.items() if text},
        "name": version.name,
        "version": version.version,
        "creation_timestamp": version.creation_time,
        "last_updated_timestamp": version.last_update_time,
        "description": version.description,
        "user_id": version.user_id,
        "current_stage": version.stage,
        "source": version.source,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "status": version.status,
        "status_message": version.status_message,
        "aliases": list(version.aliases),
        "model_id": version.model_id or None,
        "_creation_timestamp": readable_time(version.creation_time),
        "_last_updated_timestamp": readable_time(version.last_update_time),
    }
    return {**version.tags, **_texts(FIELD, fields)}


def without_unasked(
    tags: Mapping[str, str], wanted: Mapping[str, str], policy: Policy
) -> dict[str, str]:
    """Return a copy's tags without source tags that an earlier migration was asked for.

    Nothing is taken away from a copy, so they stay where a later one is not asked for any.
    """
    if policy.source_tags:
        return dict(tags)
    return {key: text for key, text in tags.items() if key in wanted or not key.startswith(PREFIX)}


def _texts(prefix: str, fields: Mapping[str, object]) -> dict[str, str]:
    return {prefix + key: str(value) for key, value in fields.items()}


def _of_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return MLflow's own tags under their names as source tags."""
    return {
        MLFLOW_TAG + key.replace(_MLFLOW, ""): value
        for key, value in tags.items()
        if key.startswith(_MLFLOW)
    }
