"""Secrets that the process was given are taken out of every text, whatever it comes from."""

from __future__ import annotations

import base64
import json
import logging
import sys
from urllib.parse import quote

import pytest

from migrate import redaction
from migrate.errors import Refused
from migrate.kinds import Kind, Ref
from migrate.redaction import cut, is_bare_login, keep_secret, learn, redacted, redacted_json
from migrate.views.logs import HarmlessFormatter
from migrate.views.words import cell, label, one_line, printable


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was told no secret yet."""
    monkeypatch.setattr(redaction, "_forms", set())
    monkeypatch.setattr(redaction, "_known", None)


SECRET = 'tok/en+ü"with\\all'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        json.dumps(SECRET),
        repr(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"ada:{SECRET}".encode()).decode(),
        f"Bearer {SECRET}",
        f"before{SECRET}after",
    ],
)
def test_a_known_secret_is_found_in_every_form(form: str) -> None:
    keep_secret(SECRET, user="ada")
    for text in (form, f"the server says: {form}!"):
        for hidden in (redacted(text), printable(text), cell(text), one_line(text)):
            assert not any(part in hidden for part in (SECRET, form, "with", "tok/en"))
    assert form not in json.dumps(redacted_json({"a": [form]}))
    assert form not in str(Refused(form, form)) + Refused("", form).hint + repr(Refused(form))


def test_what_is_read_from_a_file_is_known_with_and_without_its_newline() -> None:
    learn({"MIGRATE_SOURCE_TRACKING_TOKEN": "abcdefgh\n"}, [])
    assert redacted("Bearer abcdefgh") == "Bearer ***"
    assert redacted("'Bearer abcdefgh\\n'") == "'Bearer ***'"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ("AWS_SESSION_TOKEN", "FwoGZXIvYXdz", "FwoGZXIvYXdz"),
        ("AZURE_STORAGE_CONNECTION_STRING", "A=a;AccountKey=Eby8vdM02x==;x=y", "Eby8vdM02x=="),
        ("DATABRICKS_CLIENT_SECRET", "dose1234567", "dose1234567"),
        ("SOMEBODYS_API_KEY", "sk-1234567", "sk-1234567"),
        ("HTTPS_PROXY", "http://ada:pr%40xypass@proxy:3128", "pr@xypass"),
        ("MLFLOW_TRACKING_URI", "https://dapi1234567@host", "dapi1234567"),
        ("MIGRATE_STATE", "postgresql://ada:s3/cret!!@db/x", "s3/cret!!"),
    ],
)  # fmt: skip
def test_the_environment_and_the_command_line_are_learned(
    name: str, value: str, secret: str
) -> None:
    learn({name: value}, [])
    assert redacted(f"no: {secret}.") == "no: ***."
    if "://" in value:
        learn({}, [value.replace(quote(secret, safe="!/"), "another-one")])
        assert redacted("no: another-one") == "no: ***"


def test_short_secrets_are_hidden_where_they_stand_alone() -> None:
    keep_secret("mlflow", "ab", user="ada")
    assert redacted("password mlflow, ab of mlflowish") == "password ***, ab of mlflowish"
    assert base64.b64encode(b"ada:ab").decode() not in redacted("Basic YWRhOmFi")


def test_no_half_of_a_secret_is_left_at_the_end_of_a_cut_text() -> None:
    keep_secret("0123456789abcdef")
    text = "x" * 70 + "0123456789abcdef" + "y" * 2000
    for shown in (cut(text, 80), label(Ref(Kind.RUN, "1"), text), one_line("z" * 920 + text)):
        assert "0123" not in shown


def test_log_lines_and_their_tracebacks_hold_no_secret_and_no_escape_sequence() -> None:
    keep_secret("0123456789abcdef")
    try:
        raise ValueError("server said 0123456789abcdef\x1b[2J\nERROR forged")
    except ValueError:
        record = logging.LogRecord("a", 10, "", 1, "%s", ("\x1b]0;x\x07",), sys.exc_info())
    text = HarmlessFormatter("%(message)s").format(record)
    assert "0123" not in text
    assert not {"\x1b", "\x07"} & set(text)
    assert all(line.startswith("    ") for line in text.splitlines()[1:])


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(1)", "\t=1", " =1", "\r=1"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text)[0] in "'\\"
    assert cell("plain") == "plain"


@pytest.mark.parametrize("text", ["ada:pw@host", "my_user:p/w@host:5000/x", "u:p@h", "dapi:x@h"])
def test_a_login_without_its_scheme_is_known_as_one(text: str) -> None:
    assert is_bare_login(text)
    learn({}, [text])


@pytest.mark.parametrize(
    "text", ["./a:b@c", "dir/a:b@c", "C:\\x@y", "file:/a@b", "dbfs:/a@b", "a@b", "http://a:b@c"]
)
def test_what_is_a_path_or_has_a_scheme_is_none(text: str) -> None:
    assert not is_bare_login(text)
