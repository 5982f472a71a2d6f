"""A small registry, of names that every tool can ask a server for."""

from __future__ import annotations

from tests.seed_models import ModelSource

IS_PROMPT = {"mlflow.prompt.is_prompt": "true"}
#: The numbers that are left of the versions of "fraud".
NUMBERS = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


def seed_registry(source: ModelSource) -> None:
    """Versions with gaps, stages and aliases, without a run, of a logged model; a prompt."""
    experiment = source.experiment("models")
    runs = [source.run(label, experiment) for label in ("training", "tuning")]
    for run in runs:
        source.artifact(run, "model/MLmodel", f"run_id: {run}\nflavors: {{}}\n".encode())
        source.artifact(run, "model/data/weights", b"w" * 5_000)
    fraud = source.registered("fraud", description="finds fraud", tags={"owner": "ada"})
    for number in range(1, 13):
        run = runs[number % 2]
        root = source.seeded.artifact_uris[run] if number % 3 else f"runs:/{run}"
        tags = {"number": str(number), "empty": ""}
        source.version(fraud, f"{root}/model", run_id=run, description=f"v {number}", tags=tags)
    for number, stage in ((3, "Production"), (10, "Staging")):
        source.stage(fraud, number, stage)
    for alias, number in (("champion", 10), ("rollback", 2)):
        source.alias(fraud, alias, number)
    for number in (4, 12):
        source.delete_version(fraud, number)
    source.version(source.registered("without run"), "s3://bucket/model")
    model = source.logged_model("logged", experiment, run_id=runs[0])
    source.artifact(model, "MLmodel", b"flavors: {}\n")
    logged = source.registered("of a logged model")
    source.version(logged, f"models:/{model}", run_id=runs[0], model_id=model)
    prompt = source.registered("greeting", tags=IS_PROMPT)
    for number in range(1, 12):
        tags = {**IS_PROMPT, "mlflow.prompt.text": f"Hello {{{{ name }}}} {number}", "n": "x"}
        tags["_mlflow_prompt_type"] = "text"
        source.version(prompt, "dummy-source", tags=tags, description=f"message {number}")
    source.alias(prompt, "live", 2)
