"""Files of runs and logged models: by URLs that the workspace signs, which need no token."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from tests.databricks.answers import Refusal


class SignedFiles:
    """Gives out URLs below ``/signed/`` and knows what each of them stands for."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[str, str]] = {}

    def credentials(self, base: str, root: str, path: str, method: str) -> dict[str, Any]:
        """A signed URL for one file below an artifact root of MLflow's server."""
        key = secrets.token_hex(8)
        folder = urlsplit(root).path.strip("/")
        self._places[key] = (method, f"{folder}/{path}")
        return {
            "path": path,
            "signed_uri": f"{base}/signed/{key}",
            "headers": [],
            "type": "AWS_PRESIGNED_URL",
        }

    def place(self, method: str, key: str, authorization: str) -> str:
        """The file that a signed URL stands for, for this method alone."""
        if authorization:
            raise Refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        signed = self._places.get(key)
        if signed is None or signed[0] != method:
            raise Refusal(403, "AccessDenied", "Request is not signed for this")
        return signed[1]
