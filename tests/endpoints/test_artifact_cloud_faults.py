"""Which errors of storage libraries may pass by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from migrate.endpoints.artifacts.cloud_faults import may_pass
from migrate.endpoints.artifacts.repositories import translated
from migrate.errors import EndpointError, NotFound, Unavailable


class HTTPClientError(Exception):
    """Has the name of the class that all of botocore's connection errors come from."""


class ReadTimeoutError(HTTPClientError):
    pass


def client_error(status: int, code: str) -> Exception:
    """An error as botocore's ``ClientError`` holds it."""
    problem = Exception(f"An error occurred ({code}) when calling the GetObject operation")
    problem.response = {  # type: ignore[attr-defined]
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return problem


def with_status(name: str, status: int) -> Exception:
    """An error as Azure's (``status_code``) and Google's (``code``) libraries hold it."""
    problem = Exception("the service said no")
    setattr(problem, name, status)
    return problem


def raised_from(cause: Exception) -> Exception:
    problem = MlflowException("could not be read")
    problem.__cause__ = cause
    return problem


def passing() -> Iterator[Exception]:
    yield client_error(503, "SlowDown")
    yield client_error(500, "InternalError")
    yield client_error(429, "Throttling")
    yield ReadTimeoutError("Read timeout on endpoint URL")
    yield with_status("status_code", 503)
    yield with_status("code", 429)
    yield raised_from(ReadTimeoutError("slow"))
    yield raised_from(client_error(503, "ServiceUnavailable"))
    yield MlflowException("busy, TEMPORARILY_UNAVAILABLE", TEMPORARILY_UNAVAILABLE)
    yield MlflowException(
        "The following failures occurred while downloading one or more artifacts from s3://b/x:\n"
        "##### File a.bin #####\nAn error occurred (SlowDown) when calling the GetObject operation"
    )
    yield Exception("('Connection aborted.', RemoteDisconnected('Remote end closed'))")
    yield Exception("503 Server Error: Service Unavailable for url: https://example.com/x")


def lasting() -> Iterator[Exception]:
    yield client_error(403, "AccessDenied")
    yield client_error(404, "NoSuchKey")
    yield with_status("status_code", 401)
    yield with_status("code", 404)
    yield MlflowException("no", PERMISSION_DENIED)
    yield ModuleNotFoundError("No module named 'boto3'")
    yield ValueError("Unable to locate credentials")


@pytest.mark.parametrize("problem", list(passing()), ids=lambda it: str(it)[:30])
def test_what_may_pass_is_tried_again(problem: Exception) -> None:
    assert may_pass(problem)
    with pytest.raises(Unavailable), translated("s3://bucket/x"):
        raise problem


@pytest.mark.parametrize("problem", list(lasting()), ids=lambda it: str(it)[:30])
def test_what_lasts_is_not(problem: Exception) -> None:
    assert not may_pass(problem)
    with pytest.raises(EndpointError), translated("s3://bucket/x"):
        raise problem


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound), translated("s3://bucket/x"):
        raise MlflowException("gone", RESOURCE_DOES_NOT_EXIST)


def test_a_chain_of_errors_that_bites_its_tail_ends() -> None:
    one, other = Exception("one"), Exception("other")
    one.__cause__, other.__cause__ = other, one
    assert not may_pass(one)


@pytest.mark.parametrize(("status", "expected"), [(503, True), (403, False)])
def test_the_status_of_a_response_counts(status: int, expected: bool) -> None:
    problem = requests.HTTPError("no", response=SimpleNamespace(status_code=status))  # type: ignore[arg-type]
    assert may_pass(problem) is expected
