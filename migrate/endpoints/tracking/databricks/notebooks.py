"""Notebooks of a workspace, as they were at a revision."""

from __future__ import annotations

import base64
import binascii
import json

from migrate.endpoints.tracking.http.session import HttpSession
from migrate.errors import EndpointError


def read_notebook(http: HttpSession, path: str, revision: str, export_format: str) -> bytes:
    """See ``Source.notebook``.

    ``revision_timestamp`` is not in the published API; mlflow-export-import sends it.
    """
    params = {"path": path, "format": export_format, "direct_download": "false"}
    if revision:
        params["revision_timestamp"] = revision
    with http.stream("/api/2.0/workspace/export", params) as response:
        content: bytes = response.content
        kind = response.headers.get("Content-Type", "")
    return notebook_in(content, path) if "json" in kind else content


def notebook_in(answer: bytes, path: str) -> bytes:
    """Return the notebook in a JSON answer. A notebook itself may be JSON, sent directly.

    Raises ``EndpointError`` where it is in neither.
    """
    try:
        body = json.loads(answer)
        content = body.get("content") if isinstance(body, dict) else None
        return answer if content is None else base64.b64decode(content, validate=True)
    except (ValueError, RecursionError, TypeError, binascii.Error):
        raise EndpointError(f"notebook {path!r} came in a form that makes no sense") from None
