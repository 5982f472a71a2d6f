"""What the tests of the six commands export: little, with something for every option."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.seed import START
from tests.seed_models import ModelSource

#: The first moment of 2021-03-05 in UTC, in ms; in New York it is still the day before.
MIDNIGHT = int(datetime(2021, 3, 5, tzinfo=UTC).timestamp() * 1000)

IRIS = "/Users/me@my.com/sklearn_iris"
MNIST = "/Users/me@my.com/keras_mnist"
MINE = "/Users/me@mycompany.com/churn"
FOOS = "/Users/foo@mycompany.com/churn"
COMMA = "weekly, daily"
GIVEN_UP = "given up"

#: Name of an experiment -> names of its runs that are not deleted.
RUNS = {
    IRIS: {"iris-1", "iris-2"},
    MNIST: {"mnist-parent", "mnist-child", "mnist-alone"},
    MINE: {"mine-1"},
    FOOS: {"foo-1"},
    COMMA: {"weekly-1"},
    "Default": set[str](),
}
#: Name of a registered model -> numbers of its versions.
VERSIONS = {
    "sklearn-wine": [1, 2, 3],
    "sklearn-iris": [1],
    "sklearn_iris": [1],
    "sklearn_wine": [1],
    "keras_mnist": [1, 3, 4],
}
IS_PROMPT = {"mlflow.prompt.is_prompt": "true"}


def seed_world(source: ModelSource) -> None:
    """Writes all of it; takes a second."""
    seed_experiments(source)
    seed_models(source)
    seed_prompt(source)


def seed_experiments(source: ModelSource) -> None:
    """Runs on both sides of a midnight, of several users, nested, deleted, and with files."""
    iris = source.experiment("iris", IRIS, tags={"team": "flowers"})
    first = source.run("iris-1", iris, user="grace", start=MIDNIGHT - 1)
    source.params(first, {"depth": "3"})
    source.metrics(first, [("loss", 1 / (n + 1), START + n, n) for n in range(3)])
    source.artifact(first, "model/weights.bin", b"iris")
    source.run("iris-2", iris, start=MIDNIGHT, tags={"mlflow.user": "somebody else"})
    source.delete_run(source.run("iris-deleted", iris, start=MIDNIGHT))

    mnist = source.experiment("mnist", MNIST)
    parent = source.run("mnist-parent", mnist)
    nested = {"mlflow.parentRunId": parent, "mlflow.rootRunId": parent}
    source.run("mnist-child", mnist, start=START + 1, tags=nested)
    source.run("mnist-alone", mnist, start=START + 2)
    source.run("mine-1", source.experiment("mine", MINE))
    source.run("foo-1", source.experiment("foos", FOOS))
    source.run("weekly-1", source.experiment("comma", COMMA))

    given_up = source.experiment("given up", GIVEN_UP)
    source.run("given-up-1", given_up)
    source.delete_experiment(given_up)


def seed_models(source: ModelSource) -> None:
    """Versions of runs, of a logged model, of another version, of stages, and with a gap."""
    runs, experiments = source.seeded.runs, source.seeded.experiments
    net = source.logged_model("net", experiments["mnist"], run_id=runs["mnist-parent"])
    source.artifact(net, "weights.bin", b"mnist")

    wine = source.registered("sklearn-wine", description="red", tags={"team": "wine"})
    source.version(wine, f"runs:/{runs['iris-1']}/model", run_id=runs["iris-1"])
    source.version(wine, "s3://bucket/wine/2")
    source.version(wine, "s3://bucket/wine/3", description="the newest")
    for number, stage in ((1, "Archived"), (2, "Production"), (3, "Production")):
        source.stage(wine, number, stage)
    iris = source.registered("sklearn-iris")
    source.version(iris, f"runs:/{runs['iris-2']}/model", run_id=runs["iris-2"])
    for name in ("sklearn_iris", "sklearn_wine"):
        source.version(source.registered(name), f"s3://bucket/{name}")

    mnist = source.registered("keras_mnist")
    source.version(mnist, f"models:/{net}", model_id=net, run_id=runs["mnist-parent"])
    source.version(mnist, "s3://bucket/mnist/2")
    source.version(mnist, f"runs:/{runs['mnist-child']}", run_id=runs["mnist-child"])
    source.version(mnist, f"models:/{wine}/3")
    source.delete_version(mnist, 2)
    source.alias(mnist, "champion", 3)


def seed_prompt(source: ModelSource) -> None:
    """A prompt of two versions."""
    name = source.registered("greeting", tags=IS_PROMPT)
    source.seeded.prompts["greeting"] = source.seeded.registered.pop("greeting")
    for text in ("Hello {{ name }}", "Good morning {{ name }}"):
        source.version(name, "prompt-template", tags={**IS_PROMPT, "mlflow.prompt.text": text})
    source.alias(name, "production", 1)
