"""What a server may name as a place of files, and by what way each is reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.endpoints.artifacts.locations import (
    NO_ROOTS,
    Location,
    Way,
    check_root,
    is_storage,
    locate,
    roots_of,
)
from migrate.errors import UsageError

SERVER = "http://mlflow.example.com:5000/team"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("mlflow-artifacts:/1/abc/artifacts", "1/abc/artifacts"),
        ("mlflow-artifacts:///1/abc", "1/abc"),
        ("mlflow-artifacts:", ""),
        ("mlflow-artifacts://mlflow.example.com:5000/1", "1"),
        (f"{SERVER}/api/2.0/mlflow-artifacts/artifacts/1/a%20b", "1/a b"),
    ],
)
def test_the_proxy_of_the_server_itself(uri: str, path: str) -> None:
    assert locate(uri, SERVER, NO_ROOTS) == Location(way=Way.PROXY, path=path)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/x",
        "gs://bucket/x",
        "wasbs://box@account.blob.core.windows.net/x",
        "abfss://box@account.dfs.core.windows.net/x",
        "abfss://box@account.dfs.core.usgovcloudapi.net/x",
        "abfss://box@onelake.dfs.fabric.microsoft.com/x",
        "r2://bucket@0a1b.r2.cloudflarestorage.com/x",
        "b2://bucket@s3.us-west-004.backblazeb2.com/x",
    ],
)
def test_storages_of_clouds(uri: str) -> None:
    assert locate(uri, SERVER, NO_ROOTS).way is Way.REPOSITORY


ELSEWHERE = [
    "runs:/0123456789abcdef0123456789abcdef/",
    "models:/m-0123/",
    "models:/wine/1",
    "mlflow-artifacts://127.0.0.1:8080/x",
    "mlflow-artifacts://mlflow.example.com/x",
    "mlflow-artifacts://user@mlflow.example.com:5000/x",
    "http://169.254.169.254/latest/meta-data",
    "https://mlflow.example.com:5000/team/api/2.0/mlflow-artifacts/artifacts/x",
    "http://mlflow.example.com:5000/other/file",
    "wasbs://box@evil.example.com/x",
    "wasbs://box@account.blob.core.windows.net.evil.example.com/x",
    "abfss://box@account.dfs.core.windows.net:8443/x",
    "abfss://box@evil.com/x",
    "r2://bucket@evil.com/x",
    "b2://bucket@evil.com/x",
    "s3://bucket:80@evil.com/x",
    "ftp://evil.com/x",
    "sftp://evil.com/x",
    "hdfs://evil.com/x",
    "dbfs:/databricks/mlflow-tracking/1",
    "dbfs://other@databricks/x",
    "plugin://x",
    "http://[::1",
    "file:///etc",
    "file://localhost/etc",
    "file://other.example.com/etc",
    "FILE:///etc",
    "/etc",
    "relative/path",
    "",
    "\0",
]


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_all_else_is_left_to_the_server_and_says_why(uri: str) -> None:
    found = locate(uri, SERVER, NO_ROOTS)
    assert found.way is Way.SERVER
    assert found.reason


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_a_named_root_opens_nothing_beside_it(uri: str, tmp_path: Path) -> None:
    roots = roots_of([str(tmp_path), "hdfs://namenode/mlflow"])
    assert locate(uri, SERVER, roots).way is Way.SERVER


@pytest.mark.parametrize("form", ["{}", "file://{}", "file:{}", "file://localhost{}"])
def test_below_a_named_folder_the_disk_is_used(form: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "name").symlink_to(tmp_path / "real")
    roots = roots_of([form.format(tmp_path / "name")])
    found = locate(form.format(tmp_path / "real" / "1" / "artifacts"), SERVER, roots)
    assert found.way is Way.DISK
    assert (found.root, found.folder) == (tmp_path / "real", tmp_path / "real" / "1" / "artifacts")


def test_nothing_leads_out_of_a_named_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    roots = roots_of([str(root)])
    for out in ("..", "1/../..", "link", "link/x", "../root-too"):
        assert locate(f"{root}/{out}", SERVER, roots).way is Way.SERVER
        assert locate(f"file://{root}/{out}", SERVER, roots).way is Way.SERVER
    assert locate(f"file://{root}/%2e%2e/x", SERVER, roots).way is Way.SERVER


@pytest.mark.parametrize(
    ("uri", "way"),
    [
        ("hdfs://namenode/mlflow/1", Way.REPOSITORY),
        ("hdfs://namenode/mlflow", Way.REPOSITORY),
        ("hdfs://namenode/mlflow-too/1", Way.SERVER),
        ("hdfs://namenode/mlflow/../1", Way.SERVER),
        ("hdfs://other/mlflow/1", Way.SERVER),
        ("sftp://namenode/mlflow/1", Way.SERVER),
    ],
)
def test_other_places_are_used_below_a_named_uri(uri: str, way: Way) -> None:
    assert locate(uri, SERVER, roots_of(["hdfs://namenode/mlflow"])).way is way


@given(st.text(max_size=40), st.sampled_from(["", "file:", "s3://", "abfss://", "runs:/"]))
def test_every_text_has_a_way_or_a_reason(text: str, scheme: str) -> None:
    found = locate(scheme + text, SERVER, NO_ROOTS)
    assert found.way is not Way.DISK
    assert bool(found.reason) == (found.way is Way.SERVER)


@pytest.mark.parametrize(
    "place",
    [
        "http://u:p@h",
        "http://",
        "http://h?x=1",
        "http://h:x",
        "runs:/x",
        "s3://b",
        "dbfs:/x",
        "gone",
    ],
)
def test_what_cannot_be_a_root_is_said(place: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--target-artifacts"):
        check_root(str(tmp_path / place) if place == "gone" else place, "--target-artifacts")


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://bucket.s3.eu-west-1.amazonaws.com/x?X-Amz-Signature=1", True),
        ("https://storage.googleapis.com/bucket/x", True),
        ("https://account.blob.core.windows.net/box/x?sig=1", True),
        (f"{SERVER}/signed/x", True),
        ("http://bucket.s3.amazonaws.com/x", False),
        ("https://evil.example.com/x", False),
        ("https://notamazonaws.com/x", False),
        ("https://amazonaws.com.evil.example.com/x", False),
        ("https://bucket.s3.amazonaws.com@evil.example.com/x", False),
        ("http://169.254.169.254/latest", False),
        ("file:///etc/passwd", False),
        ("https://[::1", False),
        ("https://evil.example.com\\@bucket.s3.amazonaws.com/x", False),
        ("https://bucket.s3.amazonaws.com /x", False),
    ],
)
def test_signed_urls_lead_to_storages_only(url: str, known: bool) -> None:
    assert is_storage(url, SERVER) is known


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("http://minio:9000/bucket/a%20b?X-Amz-Signature=1", True),
        ("http://MINIO:9000/bucket/x", True),
        ("http://minio:9000/other/x", False),
        ("http://minio:9000/bucket/%2e%2e/other", False),
        ("http://minio:9001/bucket/x", False),
        ("https://minio:9000/bucket/x", False),
        ("http://minio:9000@evil.example.com/bucket/x", False),
        ("https://files.example.com/any/x", True),
    ],
)
def test_a_storage_that_the_user_named_is_one_too(url: str, known: bool) -> None:
    named = ["http://Minio:9000/bucket/", "https://files.example.com"]
    storages = roots_of([check_root(it, "--source-artifacts") for it in named]).storages
    assert is_storage(url, SERVER, storages) is known
    assert not is_storage(url, SERVER)
