"""The spans that a server has taken out of its database and put into a file."""

from __future__ import annotations

import json

from migrate.endpoints.artifacts.unserved import UnservedArtifacts
from migrate.endpoints.importing import IMPORTING
from migrate.errors import DirectoryError, EndpointError, Malformed
from migrate.kinds import Kind, Ref
from migrate.objects import ArtifactRoot
from migrate.traces import Spans

_FILE = "traces.pb"


def archived_spans(artifacts: UnservedArtifacts, trace_id: str, location: str) -> Spans:
    """Return the spans of a trace that is archived.

    Raises ``DirectoryError`` for what cannot be had of there, ``Malformed`` for what is no archive.
    """
    root = ArtifactRoot(Ref(Kind.TRACE, trace_id), location)
    try:
        file = next((it for it in artifacts.list(root) if it.path == _FILE), None)
        if file is None:
            raise DirectoryError(f"they were archived, and {location}/{_FILE} is not there")
        with artifacts.open(root, file) as stream:
            return _spans(stream.read())
    except (DirectoryError, Malformed):
        raise
    except EndpointError as problem:
        raise DirectoryError(f"they were archived: {problem.message}", problem.hint) from problem


def _spans(content: bytes) -> Spans:
    with IMPORTING:
        from google.protobuf.message import DecodeError
        from mlflow.utils.proto_json_utils import message_to_json
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    archive = TracesData()
    try:
        archive.ParseFromString(content)
    except DecodeError as problem:
        raise Malformed(f"{_FILE} is no archive of spans: {problem}") from problem
    return [
        json.loads(message_to_json(span))
        for of_resource in archive.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]
