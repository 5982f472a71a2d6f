"""Registered models, versions and stored logged models, by the words of MLflow's API. Pure.

Servers, databases and file stores have these in common; what each keeps in its own way (tags,
aliases, metrics) is given. ``times``: the members that say when it was made and last changed (ms).
All functions raise ``Malformed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from migrate.endpoints.run_members import model_named_by, model_status_from
from migrate.endpoints.shapes import Object, ident, integer, text, version_number, word
from migrate.objects import (
    LIFECYCLE_STAGES,
    NO_STAGE,
    LoggedModel,
    ModelMetric,
    ModelVersion,
    RegisteredModel,
    kind_by_tags,
)
from migrate.outcomes import Loss

Times = tuple[str, str]
IN_API: Times = ("creation_timestamp", "last_updated_timestamp")


def registered_model_of(
    body: Object,
    tags: Mapping[str, str],
    aliases: Mapping[str, int],
    *,
    times: Times = IN_API,
    losses: Sequence[Loss] = (),
) -> RegisteredModel:
    """Return a registered model, or the prompt that its tags say it is."""
    made, changed = times
    return RegisteredModel(
        name=ident(body, "name"),
        kind=kind_by_tags(tags),
        description=text(body, "description"),
        tags=tags,
        aliases=aliases,
        creation_time=integer(body, made),
        last_update_time=integer(body, changed),
        losses=tuple(losses),
    )


def model_version_of(
    body: Object,
    model: RegisteredModel,
    tags: Mapping[str, str],
    *,
    times: Times = IN_API,
    losses: Sequence[Loss] = (),
) -> ModelVersion:
    """Return a version of a registered model or prompt; its aliases are what ``model`` says."""
    number, source = version_number(body), text(body, "source")
    made, changed = times
    return ModelVersion(
        name=ident(body, "name"),
        version=number,
        kind=model.version_kind,
        source=source,
        run_id=text(body, "run_id"),
        run_link=text(body, "run_link"),
        # MLflow's own servers do not store the id, they derive it from the source.
        model_id=text(body, "model_id") or model_named_by(source),
        description=text(body, "description"),
        tags=tags,
        aliases=tuple(sorted(alias for alias, at in model.aliases.items() if at == number)),
        stage=text(body, "current_stage") or NO_STAGE,
        status=text(body, "status") or "READY",
        status_message=text(body, "status_message"),
        user_id=text(body, "user_id"),
        creation_time=integer(body, made),
        last_update_time=integer(body, changed),
        losses=tuple(losses),
    )


def stored_logged_model_of(
    body: Object,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    metrics: Iterable[ModelMetric],
    *,
    times: Times = IN_API,
    losses: Sequence[Loss] = (),
) -> LoggedModel:
    """Return a logged model as databases and file stores keep it, with its status as a number."""
    made, changed = times
    return LoggedModel(
        model_id=ident(body, "model_id"),
        experiment_id=ident(body, "experiment_id"),
        name=text(body, "name"),
        model_type=text(body, "model_type"),
        status=model_status_from(body),
        status_message=text(body, "status_message"),
        source_run_id=text(body, "source_run_id"),
        lifecycle_stage=word(body, "lifecycle_stage", LIFECYCLE_STAGES),
        artifact_uri=text(body, "artifact_location"),
        creation_time=integer(body, made),
        last_update_time=integer(body, changed),
        params=params,
        tags=tags,
        metrics=tuple(sorted(metrics)),
        losses=tuple(losses),
    )
