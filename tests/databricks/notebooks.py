"""Notebooks, as ``/api/2.0/workspace/export`` gives them out, and the folders they are in."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from tests.databricks.answers import Answer, Asked, Refusal, as_json

FORMATS = ("SOURCE", "HTML", "JUPYTER", "DBC")


@dataclass
class Notebooks:
    """Texts of notebooks by path, and of each by revision; the last one is the newest.

    ``folders`` are the paths there are. ``hidden`` notebooks are shown to nobody.
    """

    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=lambda: {"", "/Shared", "/Users"})

    def export(self, asked: Asked) -> Answer:
        """GET ``workspace/export``."""
        path, form = asked.params.get("path", ""), asked.params.get("format", "SOURCE")
        if form not in FORMATS:
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Unrecognized format: {form}")
        if path not in self.texts:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({path}) doesn't exist.")
        if path in self.hidden:
            text = f"{asked.user} does not have required permissions to view {path}."
            raise Refusal(403, "PERMISSION_DENIED", text)
        revisions = self.texts[path]
        revision = asked.params.get("revision_timestamp") or list(revisions)[-1]
        if revision not in revisions:
            text = f"Revision {revision} of {path} does not exist."
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", text)
        content = rendered(revisions[revision], form)
        if asked.params.get("direct_download") == "true":
            return Answer(content, "application/octet-stream")
        return as_json({"content": base64.b64encode(content).decode(), "file_type": "py"})

    def make_folder(self, asked: Asked) -> Answer:
        """POST ``workspace/mkdirs``: with all folders above it; one that is there is no error."""
        path = str(asked.json().get("path", ""))
        if not path.startswith("/"):
            raise Refusal(400, "INVALID_PARAMETER_VALUE", f"Path ({path}) must be absolute")
        while path:
            self.folders.add(path)
            path = path.rpartition("/")[0]
        return as_json({})


def rendered(text: str, form: str) -> bytes:
    """A notebook's text in one of the forms; each looks different."""
    if form == "JUPYTER":
        return json.dumps({"cells": [{"source": text}], "nbformat": 4}).encode()
    if form == "HTML":
        return f"<html><pre>{text}</pre></html>".encode()
    return text.encode() if form == "SOURCE" else b"PK\x03\x04" + text.encode()
