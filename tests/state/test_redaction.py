"""No credentials in the state database, whoever handed them over."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.outcomes import Loss
from migrate.plans import Side
from migrate.redaction import redacted
from state.store import StateStore
from tests.state.samples import EXPERIMENT, experiment_task, failed, plan_of


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("https://user:s3cret@host:5000/path", "https://host:5000/path"),
        ("https://user:@host", "https://host"),
        ("https://:s3cret@host", "https://host"),
        ("https://user:p@s3cret@host/a@b", "https://host/a@b"),
        ("https://dapis3cret@host/x", "https://host/x"),
        ("postgresql+psycopg2://user:s3cret@host/db", "postgresql+psycopg2://host/db"),
        ("postgresql://user:s3/cret@host:5432/db", "postgresql://host:5432/db"),
        ("mysql://u:s%40cret@h/d?charset=utf8", "mysql://h/d?charset=utf8"),
        ("postgresql://h/d?password=s3cret&x=1", "postgresql://h/d?password=***&x=1"),
        ("https://s3/b?X-Amz-Signature=s3cret failed", "https://s3/b?X-Amz-Signature=*** failed"),
        ("https://a.blob/c?sv=1&sig=s3cret", "https://a.blob/c?sv=1&sig=***"),
        ("from http://a:s3cret@b to http://c:s3cret@d", "from http://b to http://d"),
    ],
)  # fmt: skip
def test_credentials_are_taken_out(text: str, stored: str) -> None:
    assert redacted(text) == stored
    assert redacted(stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        "http://host:5000",
        "http://host:5000/path/me@example.com",
        "http://[::1]:5000/a:b@c",
        "/srv/export",
        "databricks://profile",
        "dbfs://profile@databricks/path",
        "mailed user@example.com: no answer",
        "runs:/abc/model",
        "http://host/api?page=2&order_by=name",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redacted(text) == text


def stored_bytes(location: Path) -> bytes:
    return b"".join(part.read_bytes() for part in sorted(location.parent.iterdir()))


def test_no_credential_reaches_the_file(tmp_path: Path) -> None:
    secret = "https://user:s3cret@host/path"
    path = tmp_path / "state.db"
    with StateStore.open(path) as store:
        side = Side(uri=secret, identity=secret, description=f"at {secret}")
        store.save_plan(
            plan_of(
                experiment_task(reason=secret, losses=(Loss(secret, secret),), warnings=(secret,)),
                source=side,
                target=side,
                options={"state": secret, "list": [{secret: secret}]},
                notes=(secret,),
                collisions=(secret,),
                unknown=(secret,),
            )
        )
        outcome = failed(
            EXPERIMENT, secret, hint=secret, losses=(Loss("x", secret),), warnings=(f"2 {secret}",)
        )
        store.record("m1", [outcome], {})
        content = stored_bytes(path)
        assert b"s3cret" not in content
        assert b"user:" not in content
        assert b"https://host/path" in content
        assert store.report("m1").source.uri == "https://host/path"
        assert store.find_migration(secret, secret) == "m1"
    assert b"s3cret" not in stored_bytes(path)
