"""The parts of MLflow's API, each asked itself whether it is there.

A server's version does not tell what a gateway before it lets pass, what this account may see, or
what its store is able to keep. So each part is asked for something that MLflow refuses: a refusal
in MLflow's words comes from the part itself, costs no search, and no gateway makes it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, NamedTuple

from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.http.silence import has_items, nonsense
from migrate.endpoints.tracking.versions import Release, Version
from migrate.errors import MigrateError, NoSuchRoute, NotFound, Refused

#: What a server says that lacks a part although its version has it: its store cannot keep it.
NO_SUCH_STORE = frozenset({"FEATURE_DISABLED", "NOT_IMPLEMENTED"})
#: How a server before 2.0 says so of a registry beside a file store, with no code of its own.
_NO_REGISTRY = "Model registry functionality is unavailable"


class Standing(Enum):
    """Whether a server has a part."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Answer(NamedTuple):
    """What is concluded of a part, and from what; without a reason where that is its age."""

    standing: Standing
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A route that decides whether a kind is there.

    ``since`` is the first version that surely has it. ``request`` is one that finds little, or on
    a route that takes anything one that it refuses. What is ``added`` to a server is by no version
    to be expected: a server without the route has none.
    """

    since: Version
    method: str
    path: str
    request: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    added: bool = False


API = "/api/2.0/mlflow"
NEWER_API = "/api/3.0/mlflow"
ONE = {"max_results": 1}
_IN_DEFAULT = {**ONE, "experiment_ids": ["0"]}
ALWAYS_THERE = (1, 28)
UNKNOWN_RELEASE = Release(ALWAYS_THERE)

RUNS = Part(ALWAYS_THERE, "POST", f"{API}/runs/search", _IN_DEFAULT)
EXPERIMENTS = Part(ALWAYS_THERE, "POST", f"{API}/experiments/search", ONE)
REGISTERED_MODELS = Part(ALWAYS_THERE, "GET", f"{API}/registered-models/search", ONE)
MODEL_VERSIONS = Part(ALWAYS_THERE, "GET", f"{API}/model-versions/search", ONE)
OLDER_TRACES = Part((2, 14), "GET", f"{API}/traces", _IN_DEFAULT)
LOGGED_MODELS = Part((3, 0), "POST", f"{API}/logged-models/search", _IN_DEFAULT)
TRACES = Part(
    (3, 2),
    "POST",
    f"{NEWER_API}/traces/search",
    {
        **ONE,
        "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}],
    },
)
#: Since then one call gives the spans of many traces.
TRACES_WITH_SPANS = replace(TRACES, since=(3, 6))
WEBHOOKS = Part((3, 3), "GET", f"{API}/webhooks", ONE)
#: Of Databricks' registry of a workspace.
WORKSPACE_WEBHOOKS = Part(ALWAYS_THERE, "GET", f"{API}/registry-webhooks/list")
EVALUATION_DATASETS = Part((3, 4), "POST", f"{NEWER_API}/datasets/search", ONE)
# The list of scorers takes any token, but every version refuses a scorer that is none. It has to be
# named: without a name it is refused by servers on files too, which have no scorers.
SCORERS = Part(
    (3, 4), "GET", f"{NEWER_API}/scorers/versions", {"experiment_id": "0", "name": "none"}
)
ISSUES = Part((3, 11), "POST", f"{NEWER_API}/issues/search", ONE)
REVIEW_QUEUES = Part(
    (3, 14), "GET", f"{NEWER_API}/review-queues/list", {**ONE, "experiment_id": "0"}
)
MCP_SERVERS = Part((3, 15), "GET", f"{NEWER_API}/mcp-servers")
SKILLS = Part((3, 18), "GET", f"{NEWER_API}/skills")
# A list of label schemas writes; asked for one that is none, MLflow refuses.
LABEL_SCHEMAS = Part((3, 14), "GET", f"{NEWER_API}/label-schemas/get", {"schema_id": "none"})
GATEWAY = f"{NEWER_API}/gateway"
# Their lists take anything; asked for one that is none, MLflow refuses.
GATEWAY_ENDPOINTS = Part((3, 8), "GET", f"{GATEWAY}/endpoints/get", {"endpoint_id": "none"})
GATEWAY_MODELS = Part(
    (3, 8), "GET", f"{GATEWAY}/model-definitions/get", {"model_definition_id": "none"}
)
GATEWAY_SECRETS = Part((3, 8), "GET", f"{GATEWAY}/secrets/get", {"secret_id": "none"})
GATEWAY_BUDGETS = Part((3, 11), "GET", f"{GATEWAY}/budgets/list")
# Of MLflow's basic-auth app. No user and no role is called so.
USERS = Part((2, 5), "GET", f"{API}/users/get", {"username": ""}, added=True)
ROLES = Part((3, 13), "GET", f"{NEWER_API}/roles/get", {"role_id": 0}, added=True)
GATEWAY_GUARDRAILS = Part((3, 12), "GET", f"{GATEWAY}/guardrails/list")

#: By these, newest first, a server that does not tell its version shows how old it is at most.
WITNESSES = (
    SKILLS,
    MCP_SERVERS,
    REVIEW_QUEUES,
    ISSUES,
    EVALUATION_DATASETS,
    WEBHOOKS,
    TRACES,
    LOGGED_MODELS,
    OLDER_TRACES,
)


def ask(http: HttpSession, part: Part, release: Release, *, tries: int = CONNECT_TRIES) -> Answer:
    """Ask a server of this release whether it has a part. Raises nothing."""
    if release.is_before(part.since):
        return Answer(Standing.ABSENT)
    reason = ""
    try:
        question = nonsense(part.path, part.request) or part.request
        answer = http.ask(part.method, part.path, question, tries=tries)
    except Refused as problem:
        if problem.code in NO_SUCH_STORE or _NO_REGISTRY in problem.message:
            return Answer(Standing.ABSENT, problem.message)
        if not problem.code:
            reason = problem.message
    except NotFound:
        pass  # in MLflow's words, as a refusal
    except NoSuchRoute as problem:
        if part.added:
            return Answer(Standing.ABSENT, problem.message)
        why = f"MLflow {release.text} has it" if release.text else "its version is not known"
        reason = f"{problem.message}, and {why}"
    except MigrateError as problem:
        reason = problem.message
    else:
        if not has_items(answer):
            reason = http.silence.swallowed(part.path)
    if reason:
        return Answer(Standing.UNKNOWN, reason)
    http.silence.believe(part.path)
    return Answer(Standing.PRESENT)


def on_files(http: HttpSession, release: Release, answer: Answer) -> bool:
    """Say whether a server that gave this answer keeps its objects as files, which has few kinds.

    Some of its routes fail without a word then; that of evaluation datasets says so.
    """
    answers = (answer, ask(http, EVALUATION_DATASETS, release))
    return any("FileStore" in it.reason for it in answers)


def infer_release(http: HttpSession) -> Release:
    """Conclude from what a server answers how old it is at most, and where possible at least.

    The search for runs by their ids came with 2.3 and needs no route of its own, so no gateway
    hides it: a server that refuses it, and has no newer part, is older.
    """
    for part in WITNESSES:
        if ask(http, part, UNKNOWN_RELEASE, tries=1).standing is Standing.PRESENT:
            return Release(part.since)
    by_id = {**_IN_DEFAULT, "filter": "attributes.run_id IN ('0')"}
    try:
        http.ask(RUNS.method, RUNS.path, by_id)
    except Refused as problem:
        return UNKNOWN_RELEASE._replace(below=(2, 3)) if problem.code else UNKNOWN_RELEASE
    except MigrateError:
        return UNKNOWN_RELEASE
    return Release((2, 3))
