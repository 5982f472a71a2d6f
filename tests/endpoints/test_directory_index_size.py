"""An index of many absent experiments costs as much as it is long, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.directory.stores import experiments
from migrate.kinds import Kind, Ref

ABSENT = 300


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """One experiment that is there, and an index that names it and many others."""
    (tmp_path / "1").mkdir()
    described = {"experiment_id": "1", "name": "e1", "lifecycle_stage": "active"}
    content = {"mlflow": {"experiment": described, "runs": []}}
    (tmp_path / "1" / "experiment.json").write_text(json.dumps(content))
    listed = [{"id": str(number), "name": f"e{number}"} for number in range(1, ABSENT + 2)]
    content = {"system": {}, "info": {}, "mlflow": {"experiments": listed}}
    (tmp_path / "experiments.json").write_text(json.dumps(content))
    return tmp_path


def test_all_is_listed_once_whatever_is_asked_for_afterwards(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings: list[object] = []
    list_all = experiments.experiment_directories

    def counted(opened: object) -> object:
        listings.append(opened)
        return list_all(opened)  # type: ignore[arg-type]

    monkeypatch.setattr(experiments, "experiment_directories", counted)
    directory = ExportDirectory(export, writable=False)
    ids = [str(number) for number in range(1, ABSENT + 2)]
    assert [item.experiment_id for item in directory.experiments.list()] == ["1"]
    listed = len(listings)
    assert [item.experiment_id for item in directory.experiments.read(ids)] == ["1"]
    assert list(directory.runs.list(ids)) == []
    directory.unsupported(ids)
    assert len(listings) == listed
    assert len(directory.unreadable.all()) >= ABSENT


def test_why_one_is_missing_is_known_by_its_name(export: Path) -> None:
    directory = ExportDirectory(export, writable=False)
    list(directory.experiments.list())
    found = directory.unreadable.of(Ref(Kind.EXPERIMENT, "200"))
    assert found is not None
    assert "'e200'" in found.reason
    assert directory.unreadable.of(Ref(Kind.EXPERIMENT, "1")) is None


def test_what_is_read_again_is_forgotten_and_told_anew(export: Path) -> None:
    directory = ExportDirectory(export, writable=False)
    list(directory.experiments.list())
    before = directory.unreadable.all()
    list(directory.experiments.list())
    assert directory.unreadable.all() == before
