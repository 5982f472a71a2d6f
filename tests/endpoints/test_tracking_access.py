"""How one side is reached: where credentials come from, and that nothing ever shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st

from migrate.endpoints.addresses import Address, open_source
from migrate.endpoints.tracking.http.access import Access, access_for
from migrate.errors import UsageError
from migrate.redaction import shown_address

#: Letters by which a secret is known, since no message holds them.
MARKS = set("ΣΩЖ")
SECRETS = st.text("ΣΩЖ0123456789:/?#[]@%& é🔑", min_size=1).filter(lambda text: MARKS & set(text))


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without a credentials file of MLflow."""
    directory = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(directory))
    return directory


def write_credentials(home: Path, text: str) -> None:
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text(text, encoding="utf-8")


def access(uri: str = "http://host:5000", side: str = "source", **environment: str) -> Access:
    return access_for(uri, side, environment)


def sent(given: Access) -> Mapping[str, Any]:
    """Return the headers of a request sent with this access."""
    session = requests.Session()
    given.apply(session)
    request = requests.Request("GET", "http://host:5000/version")
    return session.prepare_request(request).headers


class TestCredentials:
    def test_a_uri_says_it_all(self) -> None:
        found = access("https://ada:p%40ss%2Fw%C3%B6rd@host/mlflow/?x=1")
        assert (found.username, found.password) == ("ada", "p@ss/wörd")
        assert found.base_url == "https://host/mlflow"

    def test_each_side_has_variables_of_its_own(self) -> None:
        environment = {
            "MIGRATE_SOURCE_TRACKING_USERNAME": "s",
            "MIGRATE_SOURCE_TRACKING_PASSWORD": "s-pass",
            "MIGRATE_TARGET_TRACKING_USERNAME": "t",
            "MIGRATE_TARGET_TRACKING_PASSWORD": "t-pass",
            "MLFLOW_TRACKING_USERNAME": "m",
            "MLFLOW_TRACKING_PASSWORD": "m-pass",
        }
        for side, name in (("source", "s"), ("target", "t")):
            found = access(side=side, **environment)
            assert (found.username, found.password) == (name, f"{name}-pass")

    def test_the_order_is_uri_own_variables_mlflows_file(self, home: Path) -> None:
        write_credentials(
            home, "[mlflow]\nmlflow_tracking_username = file\nmlflow_tracking_password = f%pass\n"
        )
        environment: dict[str, str] = {}
        expected = ["file"]
        for prefix in ("MLFLOW", "MIGRATE_SOURCE"):
            assert access(**environment).username == expected[-1]
            environment[f"{prefix}_TRACKING_USERNAME"] = prefix
            expected.append(prefix)
        assert access(**environment).username == "MIGRATE_SOURCE"
        assert access(**environment).password == "f%pass"
        assert access("http://uri@host:5000", **environment).username == "uri"

    def test_an_own_variable_that_is_empty_hides_mlflows(self) -> None:
        found = access(MIGRATE_SOURCE_TRACKING_TOKEN="", MLFLOW_TRACKING_TOKEN="for all")
        assert not found.token
        assert "Authorization" not in sent(found)

    def test_credentials_in_the_uri_win_over_a_token_meant_for_any_server(self) -> None:
        assert access("http://ada:pw@host", MLFLOW_TRACKING_TOKEN="tok").token is None
        found = access("http://host", MLFLOW_TRACKING_TOKEN="tok")
        assert sent(found)["Authorization"] == "Bearer tok"

    def test_basic_credentials_are_sent_as_utf_8(self) -> None:
        found = access("http://%C3%A4da:%F0%9F%94%91@host")
        assert sent(found)["Authorization"] == "Basic w6RkYTrwn5SR"

    def test_without_credentials_none_are_sent_not_even_from_netrc(self, home: Path) -> None:
        (home / ".netrc").write_text("machine host login netrc password netrc\n")
        assert "Authorization" not in sent(access())

    @pytest.mark.parametrize("text", ["no section", "[mlflow", "[mlflow]\nno value\n"])
    def test_a_broken_credentials_file_is_named_but_not_quoted(self, home: Path, text: str) -> None:
        write_credentials(home, text)
        with pytest.raises(UsageError, match=r"cannot read .*\.mlflow/credentials") as caught:
            access()
        assert "no value" not in str(caught.value)

    def test_other_settings_follow_the_same_rule(self) -> None:
        found = access(
            MIGRATE_SOURCE_WORKSPACE="team-a",
            MLFLOW_WORKSPACE="team-b",
            MLFLOW_TRACKING_SERVER_CERT_PATH="/ca.pem",
            MIGRATE_SOURCE_TRACKING_CLIENT_CERT_PATH="/client.pem",
            MIGRATE_TARGET_TRACKING_INSECURE_TLS="true",
        )
        assert (found.workspace, found.verify) == ("team-a", "/ca.pem")
        assert found.client_certificate == "/client.pem"
        assert sent(found)["X-MLFLOW-WORKSPACE"] == "team-a"
        insecure = access(side="target", MIGRATE_TARGET_TRACKING_INSECURE_TLS="true")
        assert insecure.verify is False

    @pytest.mark.parametrize(
        "uri",
        ["http://", "http://:5000", "http://host:port", "http://host:99999", "http://[::1", "host"],
    )
    def test_what_is_no_address_is_refused(self, uri: str) -> None:
        with pytest.raises(UsageError, match="is not a usable tracking URI"):
            access(uri)


class TestRedaction:
    @given(SECRETS, SECRETS)
    def test_quoted_credentials_are_never_shown(self, user: str, password: str) -> None:
        uri = f"http://{quote(user, safe='')}:{quote(password, safe='')}@host:5000/path"
        assert shown_address(uri) == "http://host:5000/path"
        found = access(f"{uri}?token={quote(password, safe='')}")
        assert (found.username, found.password) == (user, password)
        address = Address(uri=uri, side="source")
        shown = f"{address!r} {address} {address.shown} {found.base_url}"
        assert not MARKS & set(shown)

    @given(
        st.sampled_from(["http://", "https://", "HTTP://", "ftp://", ""]),
        SECRETS,
        st.sampled_from(["host", "host:5000", "host:5000/path", "[::1]:5000"]),
    )
    def test_a_password_typed_as_it_is_is_not_shown_either(
        self, scheme: str, password: str, host: str
    ) -> None:
        # By all rules of URIs, a number before a bare "/", "?" or "#" is a port, and what follows
        # a bare "@" a host.
        begins_a_path = set("/?#") & set(password)
        assume(not begins_a_path or "@" not in password)
        assume(not password.lstrip("0123456789").startswith(("/", "?", "#")))
        uri = f"{scheme}ada:{password}@{host}"
        assert not MARKS & set(shown_address(uri))
        if begins_a_path:
            with pytest.raises(UsageError) as caught:
                open_source(Address(uri=uri, side="source"))
            assert not MARKS & set(f"{caught.value.message} {caught.value.hint}")

    def test_tokens_are_not_in_a_repr(self) -> None:
        found = access(MLFLOW_TRACKING_TOKEN="SECRET", MLFLOW_TRACKING_PASSWORD="SECRET")
        assert "SECRET" not in repr(found)

    @pytest.mark.parametrize(
        "uri", ["http://host:5000", "https://host/a/b", "databricks", "databricks://profile"]
    )
    def test_what_holds_no_secret_stays(self, uri: str) -> None:
        assert shown_address(uri) == uri


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "is_directory"),
        [
            ("export", True),
            ("./export", True),
            ("file:///tmp/export", True),
            ("C:\\export", True),
            ("http://host", False),
            ("databricks", False),
            ("databricks://profile", False),
            ("./databricks", True),
            ("http://[::1", False),
            ("s3://bucket/export", False),
        ],
    )
    def test_a_path_is_told_from_a_uri(self, text: str, is_directory: bool) -> None:
        assert Address(uri=text, side="source").is_directory is is_directory

    @pytest.mark.parametrize("uri", ["s3://bucket/x", "ftp://host", "redis://host/0"])
    def test_a_uri_of_another_kind_is_refused_with_those_that_are_known(self, uri: str) -> None:
        with pytest.raises(UsageError, match="not a tracking URI this tool knows") as caught:
            open_source(Address(uri=uri, side="source"))
        assert "http(s)://host:port" in caught.value.hint
