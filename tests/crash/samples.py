"""What the tests here migrate: small, but with something of everything that a crash could lose."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from tests.seed import START, Source

#: Bytes of the file that is sent in several pieces.
LARGE = 3 * 1024 * 1024


def seed_work(source: Source, *, families: int) -> None:
    """Three experiments: families of three runs, evaluations of their parents, and a deleted one.

    Five runs a family, four in the deleted experiment, one with a large file and one that is
    deleted: ``5 n + 6``.
    """
    training = source.experiment("training", tags={"team": "growth"})
    evaluation = source.experiment("evaluation")
    for number in range(families):
        parent = add_run(source, f"parent-{number}", training, files=2)
        for place in range(2):
            born = {"mlflow.parentRunId": parent, "mlflow.rootRunId": parent}
            add_run(source, f"child-{number}-{place}", training, tags=born, files=place)
        for place in range(2):
            born = {"mlflow.parentRunId": parent}
            add_run(source, f"evaluation-{number}-{place}", evaluation, tags=born, files=1)
    large = add_run(source, "large", evaluation)
    source.artifact(large, "model/weights.bin", random.Random(5).randbytes(LARGE))
    source.delete_run(add_run(source, "deleted", evaluation, files=1))

    abandoned = source.experiment("abandoned", tags={"mlflow.note.content": "given up"})
    deleted_before = add_run(source, "deleted-before", abandoned)
    source.delete_run(deleted_before)
    add_run(source, "deleted-with-it", abandoned, status="FAILED", files=1)
    born = {"mlflow.parentRunId": deleted_before}
    add_run(source, "child-of-deleted", abandoned, tags=born)
    restored = add_run(source, "restored", abandoned)
    source.delete_experiment(abandoned)
    source.restore_run(restored)


def add_run(
    source: Source,
    label: str,
    experiment_id: str,
    *,
    tags: Mapping[str, str] | None = None,
    status: str = "FINISHED",
    files: int = 0,
) -> str:
    """A run with metrics of ten steps, params, tags and some small files; returns its id."""
    run_id = source.run(label, experiment_id, status=None, tags={"stage": "dev", **(tags or {})})
    body = {
        "run_id": run_id,
        "metrics": [
            {"key": key, "value": value / (1 + step), "timestamp": START + 10 * step, "step": step}
            for key, value in (("loss", 4.0), ("auc", 0.5))
            for step in range(10)
        ],
        "params": [{"key": "lr", "value": "0.01"}, {"key": "label", "value": label}],
    }
    source.post("runs/log-batch", body)
    for number in range(files):
        source.artifact(run_id, f"plots/{label}-{number}.txt", f"{label} {number}\n".encode() * 40)
    source.update(run_id, status=status, end=START + 61_000)
    return run_id


def seed_runs(uri: str, prefix: str, number: int) -> None:
    """Writes so many runs of ``add_run`` to an experiment of their own, labelled ``runs``."""
    with Source(uri, prefix=prefix) as source:
        experiment = source.experiment("runs")
        for of_run in range(number):
            add_run(source, f"run-{of_run}", experiment)


def names(source: Source, labels: Sequence[str] = ()) -> list[str]:
    """The names on the server of the experiments with these labels, of all without any."""
    return [source.seeded.names[label] for label in labels or source.seeded.names]
