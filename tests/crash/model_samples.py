"""What the tests of models migrate: a small registry with everything that a crash could lose."""

from __future__ import annotations

from tests.seed import START
from tests.seed_models import ModelSource

#: The versions of "churn" that were deleted: two gaps.
GAPS = (4, 11, 12, 13)
#: The number of the version of "churn" that is deleted's: made of a logged model that is deleted.
OF_DELETED = 7
LAST = 25
IS_PROMPT = {"mlflow.prompt.is_prompt": "true"}


def seed_registry(source: ModelSource, *, last: int = LAST) -> None:
    """Logged models, two registered models and a prompt, all of one experiment.

    Of the versions of "churn", 1 to ``last``, those in ``GAPS`` are deleted; stages and aliases are
    spread over the others. A logged model is of a deleted run, and one is deleted.
    """
    experiment = source.experiment("training")
    seed_logged_models(source, experiment)
    seed_churn(source, last)
    small = source.registered("small", description="of another one's version")
    source.version(small, "s3://bucket/small")
    source.version(small, f"models:/{source.seeded.registered['churn']}/3")
    seed_prompt(source)


def seed_logged_models(source: ModelSource, experiment_id: str) -> None:
    """Five logged models of four runs, and a run that uses two of them."""
    for label in ("first", "second", "third", "in the trash"):
        run_id = source.run(label, experiment_id)
        source.artifact(run_id, "model/weights.bin", label.encode())
        add_logged_model(source, f"of {label}", experiment_id, run_id)
    models = source.seeded.models
    add_logged_model(source, "deleted", experiment_id, source.seeded.runs["third"])
    user = source.run("evaluation", experiment_id)
    source.model_inputs(user, models["of first"], models["of second"])
    point = {"key": "auc", "value": 0.5, "timestamp": START, "step": 0}
    source.model_metrics(user, models["of first"], [point])
    source.delete_run(source.seeded.runs["in the trash"])


def add_logged_model(
    source: ModelSource, label: str, experiment_id: str, run_id: str, *, step: int = 2
) -> str:
    """A logged model with a param, a metric and two files, made by a run; returns its id."""
    model = source.logged_model(label, experiment_id, run_id=run_id, params={"depth": "3"})
    text = f"artifact_path: model\nflavors: {{}}\nmodel_id: {model}\nrun_id: {run_id}\n"
    source.artifact(model, "MLmodel", text.encode())
    source.artifact(model, "weights.bin", label.encode())
    point = {"key": "loss", "value": 0.25, "timestamp": START, "step": step}
    source.model_metrics(run_id, model, [point])
    source.outputs(run_id, (model, step))
    return model


def seed_churn(source: ModelSource, last: int) -> None:
    """The registered model with many versions, made of whatever there is."""
    runs, models = source.seeded.runs, source.seeded.models
    name = source.registered("churn", description="who leaves", tags={"team": "growth"})
    forms: tuple[dict[str, str], ...] = (
        {"source": f"models:/{models['of first']}", "model_id": models["of first"]},
        {"source": "s3://bucket/churn"},
        {"source": f"runs:/{runs['second']}/model", "run_id": runs["second"]},
        {"source": f"models:/{models['of in the trash']}", "model_id": models["of in the trash"]},
    )
    for number in range(1, last + 1):
        form = dict(forms[number % len(forms)])
        if number == OF_DELETED:
            form = {"source": f"models:/{models['deleted']}", "model_id": models["deleted"]}
        tags = {"n": str(number)} if number % 5 == 0 else {}
        source.version(name, form.pop("source"), tags=tags, description=f"number {number}", **form)
    source.delete_logged_model(models["deleted"])
    stages = {1: "Archived", 3: "Production", 6: "Staging", 14: "Staging", 25: "Production"}
    for number, stage in stages.items():
        if number <= last:
            source.stage(name, number, stage)
    aliases = {"first": 1, "champion": 3, "challenger": 6, "behind-the-gap": 14, "newest": 25}
    for alias, number in aliases.items():
        if number <= last:
            source.alias(name, alias, number)
    for number in GAPS:
        if number <= last:
            source.delete_version(name, number)


def seed_prompt(source: ModelSource) -> None:
    """A prompt with the versions 2 and 5."""
    name = source.registered("greeting", tags={**IS_PROMPT, "team": "growth"})
    source.seeded.prompts["greeting"] = source.seeded.registered.pop("greeting")
    for number in range(1, 6):
        add_prompt_version(source, name, f"Hello {{{{ name }}}} {number}")
    source.alias(name, "production", 2)
    for number in (1, 3, 4):
        source.delete_version(name, number)


def add_prompt_version(source: ModelSource, name: str, text: str) -> int:
    """A version of a prompt; returns its number."""
    return source.version(name, "prompt-template", tags={**IS_PROMPT, "mlflow.prompt.text": text})
