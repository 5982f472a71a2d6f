"""Databricks' endpoints without a workspace: tags, notebooks and logins as values."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.permissions import permissions_of_users
from migrate.endpoints.tracking.databricks.notebooks import notebook_in
from migrate.endpoints.tracking.databricks.permissions import foreign
from migrate.endpoints.tracking.unity_catalog.tags import REFUSED_IN_TAGS, read_tags, written_tags
from migrate.errors import EndpointError, UsageError
from migrate.origins import EARLIER, LOSSES, MIGRATION, ORIGIN, PLACEHOLDER, REPLACES, SOURCE

OURS = (
    ORIGIN,
    MIGRATION,
    PLACEHOLDER,
    REPLACES,
    SOURCE + "creation_time",
    SOURCE + "user_id",
    LOSSES + "0",
    EARLIER + "source.last_update_time",
    "mlflow_exim.field._creation_timestamp",
    "mlflow_exim.field.run_id",
)


def test_our_own_tags_have_keys_that_unity_catalog_takes() -> None:
    for key in written_tags(dict.fromkeys(OURS, "x")):
        assert not set(key) & set(REFUSED_IN_TAGS)


@given(st.dictionaries(st.sampled_from([*OURS, "team", "a__b", "mlflow_migrate"]), st.text()))
def test_tags_are_read_back_from_unity_catalog_as_they_were_written(tags: dict[str, str]) -> None:
    assert read_tags(written_tags(tags)) == tags


def test_a_notebook_is_taken_from_json_or_directly_and_one_that_is_json_itself_stays_so() -> None:
    packed = json.dumps({"content": base64.b64encode(b"print(1)").decode()}).encode()
    assert notebook_in(packed, "/a") == b"print(1)"
    jupyter = b'{"cells": [], "nbformat": 4}'
    assert notebook_in(jupyter, "/a") == jupyter


@pytest.mark.parametrize("answer", [b'{"content": "not base64!"}', b"{", b'{"content": 3}'])
def test_a_notebook_that_makes_no_sense_is_an_error_that_names_it(answer: bytes) -> None:
    with pytest.raises(EndpointError, match="/Users/ada/train"):
        notebook_in(answer, "/Users/ada/train")


def test_levels_of_another_kind_of_server_are_losses_by_name() -> None:
    lost = foreign(permissions_of_users([("ada", "EDIT")]), "databricks").losses
    assert [loss.what for loss in lost] == ["EDIT of user ada"]
    assert "basic-auth" in lost[0].reason


def test_a_profile_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "profiles"
    file.write_text("no section\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(file))
    with pytest.raises(UsageError, match="profiles"):
        open_source(Address(uri="databricks://one", side="source"))
