"""Writes a small, believable history of machine learning to a tracking server.

Three experiments, a fourth in the trash, and 25 runs: a sweep of nested runs, training curves,
dataset inputs, plots and a model card; and a registered model with six versions, of which the
third is gone. The numbers are drawn with a fixed seed, so that every demo shows the same history.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

import requests

#: When the first run starts, in ms since the epoch: 2024-03-04T09:00:00Z.
FIRST_START = 1_709_542_800_000

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

_METRICS_A_CALL = 1000

#: The curve of one metric: its name, and the value of every step.
_Curves = Mapping[str, Sequence[float]]


def write_samples(uri: str) -> None:
    """Writes the sample history to the tracking server at ``uri``, which takes a few seconds.

    Meant for a new server: its experiments are created, not looked up. Raises
    requests.RequestException if the server refuses a request or does not answer.
    """
    draw = random.Random(2024)
    with _Server(uri) as server:
        _write_wine_quality(server, draw)
        _register_churn(server, _write_churn(server, draw))
        _write_flowers(server, draw)
        _write_abandoned(server)


def _write_wine_quality(server: _Server, draw: random.Random) -> None:
    """A baseline, a sweep of eight nested runs, a run that failed, and the final model."""
    note = "Predict the quality of red wine from eleven chemical measurements. Target: RMSE < 0.60."
    experiment = server.experiment("wine-quality", note=note, team="tabular")
    wine = _dataset("wine-quality-red", "d41f9c02", "https://example.com/wine-red.csv", rows=1599)

    baseline = server.run(experiment, "baseline-mean", "maria", FIRST_START, minutes=1)
    server.log(baseline, params={"model": "mean"}, curves={"rmse": [0.808], "r2": [0.0]})
    server.log_input(baseline, wine, "training")

    sweep_start = FIRST_START + _DAY
    sweep = server.run(experiment, "elasticnet-sweep", "maria", sweep_start, minutes=95)
    grid = [(alpha, ratio) for alpha in (0.01, 0.1, 0.5, 1.0) for ratio in (0.2, 0.8)]
    scores = []
    for number, (alpha, ratio) in enumerate(grid):
        name, start = f"alpha={alpha} l1={ratio}", sweep_start + number * 12 * _MINUTE
        trial = server.run(experiment, name, "maria", start, minutes=11, parent=sweep)
        server.log_input(trial, wine, "training")
        rmse = 0.655 + 0.11 * alpha * ratio + draw.uniform(0, 0.01)
        scores.append(rmse)
        server.log(
            trial,
            params={"model": "elasticnet", "alpha": str(alpha), "l1_ratio": str(ratio)},
            curves={"rmse": [rmse], "mae": [rmse * 0.78], "r2": [1 - (rmse / 0.808) ** 2]},
        )
    best = {"best_rmse": [min(scores)]}
    server.log(sweep, params={"search": "grid", "trials": str(len(grid))}, curves=best)

    start = FIRST_START + 2 * _DAY
    failed = server.run(experiment, "gbm-first-try", "jonas", start, status="FAILED", minutes=3)
    server.log(failed, params={"model": "gbm", "max_depth": "40"}, curves={"rmse": [math.nan]})
    server.artifact(failed, "error.log", "MemoryError: unable to allocate 31.4 GiB\n")

    final = server.run(experiment, "gbm-final", "jonas", start + 3 * _HOUR, minutes=26)
    server.log_input(final, wine, "training")
    validation = _falling(draw, 200, start=0.80, floor=0.588, pace=30)
    training = [value - 0.0005 * step for step, value in enumerate(validation)]
    server.log(
        final,
        params={"model": "gbm", "max_depth": "6", "learning_rate": "0.05", "trees": "200"},
        curves={"rmse": validation, "train_rmse": training},
        tags={"mlflow.note.content": "Meets the target; handed over for review.", "stage": "final"},
    )
    server.artifact(final, "MODEL_CARD.md", _MODEL_CARD)
    importances = {"alcohol": 0.31, "sulphates": 0.17, "volatile acidity": 0.14}
    server.artifact(final, "plots/importance/features.json", json.dumps(importances, indent=2))
    server.artifact(final, "plots/residuals.csv", _csv(draw, ["predicted", "residual"], 200))


def _write_churn(server: _Server, draw: random.Random) -> list[str]:
    """Six weekly trainings on data that grows, and one deleted as it used last year's data.

    Return the ids of the six.
    """
    weekly = []
    note = "Weekly retraining. Who leaves within 30 days?"
    experiment = server.experiment("customer-churn", note=note, team="growth")
    for week in range(6):
        start = FIRST_START + 7 * week * _DAY
        run = server.run(experiment, f"weekly-{week + 10}", "retraining-bot", start, minutes=42)
        location = f"s3://warehouse/churn/week={week + 10}"
        rows = 48_000 + 1_350 * week
        server.log_input(run, _dataset("churn", f"{week:08x}", location, rows=rows), "training")
        auc = 0.842 + 0.004 * week + draw.uniform(-0.003, 0.003)
        loss = _falling(draw, 80, start=0.69, floor=0.31, pace=15)
        server.log(
            run,
            params={"model": "xgboost", "eta": "0.1", "scale_pos_weight": "8.4", "rows": str(rows)},
            curves={"logloss": loss, "auc": [auc], "precision_at_1000": [auc - 0.21]},
            tags={"schedule": "weekly"},
        )
        scores = _csv(draw, ["customer", "score"], 400)
        server.artifact(run, "scores/sample.csv", scores)
        server.artifact(run, "model/MLmodel", _MLMODEL.format(run_id=run))
        weekly.append(run)
    start = FIRST_START + 43 * _DAY
    wrong = server.run(experiment, "weekly-16-wrong-data", "retraining-bot", start, minutes=40)
    server.log(wrong, params={"model": "xgboost"}, curves={"auc": [0.611]})
    server.call("runs/delete", {"run_id": wrong})
    return weekly


def _register_churn(server: _Server, runs: Sequence[str]) -> None:
    """A version of every weekly training; the third one was withdrawn."""
    name = "churn"
    described = {"name": name, "description": "Who leaves within 30 days?"}
    server.call("registered-models/create", described)
    for week, run in enumerate(runs):
        tags = _pairs({"week": str(week + 10)})
        version = {"name": name, "source": f"runs:/{run}/model", "run_id": run, "tags": tags}
        server.call("model-versions/create", version)
    server.call("model-versions/delete", {"name": name, "version": "3"}, method="DELETE")
    champion = {"name": name, "alias": "champion", "version": str(len(runs))}
    server.call("registered-models/alias", champion)


def _write_flowers(server: _Server, draw: random.Random) -> None:
    """Long training curves of five architectures, the last still running."""
    note = "# Flowers\n\n102 categories. Which small network is good enough for phones?"
    experiment = server.experiment("vision/flowers-102", note=note, team="vision")
    flowers = _dataset("flowers-102", "7be04411", "hf://datasets/flowers-102", rows=8189)
    networks = {
        "mobilenet_v3": (0.93, 5.4),
        "resnet18": (0.91, 11.7),
        "efficientnet_b0": (0.95, 5.3),
        "squeezenet": (0.84, 1.2),
        "vit_tiny": (0.94, 5.7),
    }
    for number, (network, (accuracy, millions)) in enumerate(networks.items()):
        last = number == len(networks) - 1
        run = server.run(
            experiment,
            network,
            "lin",
            FIRST_START + (10 + number) * _DAY,
            status="RUNNING" if last else "FINISHED",
            minutes=185,
        )
        server.log_input(run, flowers, "training")
        epochs = 120 if last else 200
        loss = _falling(draw, epochs, start=4.6, floor=0.3, pace=25)
        curves = {
            "train/loss": loss,
            "val/loss": [value + 0.1 for value in loss],
            "val/accuracy": [accuracy * (1 - value / 5) for value in loss],
            "learning_rate": [
                0.05 * (1 + math.cos(math.pi * epoch / 200)) for epoch in range(epochs)
            ],
        }
        params = {
            "network": network,
            "parameters_in_millions": str(millions),
            "optimizer": "sgd",
            "batch_size": "64",
            "augmentation": "flip, crop, colour",
        }
        server.log(run, params=params, curves=curves)
        for epoch in range(50, epochs + 1, 50):
            weights = draw.randbytes(64 * 1024)
            server.artifact(run, f"checkpoints/epoch-{epoch:03}/weights.bin", weights)
        server.artifact(run, "labels.txt", "\n".join(f"flower {n}" for n in range(102)))


def _write_abandoned(server: _Server) -> None:
    """An experiment in the trash."""
    experiment = server.experiment("scratch", note="Trying things out", team="tabular")
    run = server.run(experiment, "hello", "maria", FIRST_START - _DAY, status="KILLED", minutes=2)
    server.log(run, params={"greeting": "world"}, curves={"answer": [42.0]})
    server.call("experiments/delete", {"experiment_id": experiment})


class _Server:
    """The few calls of MLflow's REST API that writing a history takes."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")
        self._session = requests.Session()
        #: Run id -> (start in ms, artifact folder).
        self._runs: dict[str, tuple[int, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def call(self, path: str, body: Mapping[str, Any], method: str = "POST") -> Any:
        url = f"{self._uri}/api/2.0/mlflow/{path}"
        answer = self._session.request(method, url, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def experiment(self, name: str, *, note: str, team: str) -> str:
        tags = _pairs({"mlflow.note.content": note, "team": team})
        created = self.call("experiments/create", {"name": name, "tags": tags})
        return str(created["experiment_id"])

    def run(
        self,
        experiment: str,
        name: str,
        user: str,
        start: int,
        *,
        minutes: int,
        status: str = "FINISHED",
        parent: str = "",
    ) -> str:
        """Creates a run that took so many minutes from ``start`` (ms); one RUNNING has no end."""
        tags = {
            "mlflow.user": user,
            "mlflow.source.name": "train.py",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": f"{start:040x}",
        }
        if parent:
            tags["mlflow.parentRunId"] = parent
        body = {
            "experiment_id": experiment,
            "run_name": name,
            "user_id": user,
            "start_time": start,
            "tags": _pairs(tags),
        }
        info = self.call("runs/create", body)["run"]["info"]
        run_id = str(info["run_id"])
        self._runs[run_id] = start, info["artifact_uri"].removeprefix("mlflow-artifacts:/")
        if status != "RUNNING":
            end = start + minutes * _MINUTE
            self.call("runs/update", {"run_id": run_id, "status": status, "end_time": end})
        return run_id

    def log(
        self,
        run: str,
        *,
        params: Mapping[str, str],
        curves: _Curves,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Logs params, tags and metrics, a step a minute from the start of the run."""
        start, _ = self._runs[run]
        metrics = [
            {
                "key": key,
                # JSON has no NaN, and MLflow loses a whole batch over the one Python writes.
                "value": "NaN" if math.isnan(value) else value,
                "timestamp": start + (step + 1) * _MINUTE,
                "step": step,
            }
            for key, values in curves.items()
            for step, value in enumerate(values)
        ]
        body = {"run_id": run, "params": _pairs(params), "tags": _pairs(tags or {})}
        # A call takes 1,000 metrics, params and tags in all.
        size = _METRICS_A_CALL - len(params) - len(tags or {})
        self.call("runs/log-batch", {**body, "metrics": metrics[:size]})
        for at in range(size, len(metrics), _METRICS_A_CALL):
            rest = metrics[at : at + _METRICS_A_CALL]
            self.call("runs/log-batch", {"run_id": run, "metrics": rest})

    def log_input(self, run: str, dataset: Mapping[str, str], context: str) -> None:
        tags = _pairs({"mlflow.data.context": context})
        datasets = [{"dataset": dataset, "tags": tags}]
        self.call("runs/log-inputs", {"run_id": run, "datasets": datasets})

    def artifact(self, run: str, path: str, content: str | bytes) -> None:
        content = content.encode() if isinstance(content, str) else content
        _, folder = self._runs[run]
        url = f"{self._uri}/api/2.0/mlflow-artifacts/artifacts/{quote(f'{folder}/{path}')}"
        self._session.put(url, data=content, timeout=60).raise_for_status()


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _dataset(name: str, digest: str, location: str, *, rows: int) -> dict[str, str]:
    return {
        "name": name,
        "digest": digest,
        "source_type": location.partition(":")[0],
        "source": json.dumps({"uri": location}),
        "profile": json.dumps({"num_rows": rows}),
    }


def _falling(
    draw: random.Random, steps: int, *, start: float, floor: float, pace: float
) -> list[float]:
    """A noisy curve that falls from ``start`` towards ``floor``, most of it in ``pace`` steps."""
    height = start - floor
    return [
        floor + height * math.exp(-step / pace) + draw.gauss(0, height * 0.01)
        for step in range(steps)
    ]


def _csv(draw: random.Random, columns: Iterable[str], rows: int) -> str:
    columns = list(columns)
    lines = [",".join(f"{draw.random():.4f}" for _ in columns) for _ in range(rows)]
    return "\n".join([",".join(columns), *lines, ""])


_MLMODEL = """\
artifact_path: model
run_id: {run_id}
flavors: {{}}
"""

_MODEL_CARD = """\
# Red wine quality, gradient boosting

**What it does.** Predicts the quality score (3 to 8) a panel would give a red vinho verde.

**Data.** 1,599 wines, eleven chemical measurements each; 20 % held out.

| measure | baseline | this model |
|---------|---------:|-----------:|
| RMSE    |    0.808 |      0.589 |

**Limits.** Few wines scored below 4 or above 7: do not trust it there. Not for white wine.

**Owner.** jonas
"""
