"""What the suite of stores is held against: a store, and how its objects are made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.addresses import Address, open_target
from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.protocols import Target
from migrate.endpoints.stores import Identity, Store
from migrate.kinds import ON_REQUEST, Kind
from migrate.objects import Experiment, LoggedModel, ModelVersion, RegisteredModel, Run
from migrate.origins import ORIGIN
from migrate.records.evaluation_datasets import EvaluationDataset
from migrate.records.gateway import (
    GatewayBudget,
    GatewayEndpoint,
    GatewayGuardrail,
    GatewayModel,
    GatewaySecret,
    GuardedEndpoint,
    ModelConfig,
)
from migrate.records.issues import Issue
from migrate.records.label_schemas import LabelSchema
from migrate.records.mcp_servers import MCPServer, MCPServerVersion
from migrate.records.review_queues import ReviewQueue
from migrate.records.scorers import Scorer, ScorerVersion
from migrate.records.skills import Skill
from migrate.records.users import Role, RolePermission, User
from migrate.records.webhooks import Webhook, WebhookEvent
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.evaluation_dataset import EvaluationDatasets
from migrate.tasks.gateway import (
    GatewayBudgets,
    GatewayEndpoints,
    GatewayGuardrails,
    GatewayModels,
    GatewaySecrets,
)
from migrate.tasks.issue import Issues
from migrate.tasks.label_schema import LabelSchemas
from migrate.tasks.mcp_server import MCPServers
from migrate.tasks.review_queue import ReviewQueues
from migrate.tasks.scorer import Scorers
from migrate.tasks.skill import Skills
from migrate.tasks.user import Roles, Users
from migrate.tasks.webhook import Webhooks
from migrate.traces import Trace
from tests.graph.memory import MemoryServer
from tests.kinds.job import Job, Jobs
from tests.kinds.memory import MemoryStore
from tests.kinds.older import (
    Experiments,
    LoggedModels,
    Meaning,
    ModelVersions,
    OfVersions,
    RegisteredModels,
    Runs,
    Traces,
)
from tests.seed_gateway import make as make_of_gateway
from tests.seed_records import HOOK, Api, register
from tests.servers import IS_3_18

ODD_NAMES = (
    " ",
    "a/b",
    "..",
    "../up",
    "CON",
    "a" * 300,
    "Ünïcödé ☃ 漢字",
    "new\nline",
    "quote\"'`$(id)",
    "{}[]%00%2F",
    "a.b.c",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A store to try, where its objects go, and how one is made of a number and a name."""

    store: Store[Any]
    carrier: RecordCarrier[Any] | Meaning
    container: str
    other_container: str
    make: Callable[[str, str], Any]
    #: Returns an object that lacks something, or has it otherwise.
    change: Callable[[Any], Any]
    #: Whether the endpoint refuses a second object of a key, and deletes what it is told to.
    refuses_twins: bool = True
    deletes: bool = True
    #: Whether finishing writes what differs and no more, so that what is gone may not be noticed.
    writes_only_changes: bool = False
    #: Whether to create what is there is to bring it up to date, and whether to replace it.
    creates_again: bool = False
    replaces_twins: bool = False
    #: Whether nothing of an object is there before it is finished.
    appears_whole: bool = False
    #: Names that it does not take.
    refuses: frozenset[str] = frozenset()

    def made(self, ident: str, name: str = "one") -> Any:
        """Make a copy, finished."""
        wanted = self.make(ident, name)
        copy = self.store.create(self.container, wanted)
        self.store.finish(copy, wanted, "m1")
        return self.found(ident, name)[0].record

    def key(self, ident: str, name: str = "one") -> str:
        """Return by what the copy of an original is found."""
        return self.carrier.key(self.make(ident, name), self.store.identity)

    def found(self, ident: str, name: str = "one") -> Any:
        """Return the copies of an original."""
        key = self.key(ident, name)
        return self.store.find(self.container, [key]).get(key, ())

    def same(self, one: Any, other: Any) -> bool:
        """Say whether two records differ in nothing that is copied."""
        return not list(self.carrier.differences(one, other))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A kind, and objects of it; ``on_servers`` is by what its copies are found there.

    ``older`` gives the store of an endpoint the shape of ``Store`` where it has another one.
    ``needs`` makes on a server what its objects name there, and says by what members;
    ``needs_stored`` does so by the stores of an endpoint that insists on it. ``there`` is false of
    what the installed MLflow does not have yet.
    """

    carrier: RecordCarrier[Any] | Meaning
    ident: str
    make: Callable[[str, str], Any]
    change: Callable[[Any], Any]
    on_servers: Identity
    tried_on_servers: bool = True
    there: bool = True
    refuses_twins: bool = True
    deletes: bool = True
    writes_only_changes: bool = False
    creates_again: bool = False
    refuses: frozenset[str] = frozenset()
    older: Callable[[Target], Store[Any]] | None = None
    needs: Callable[[Api], Mapping[str, Any]] | None = None
    needs_stored: Callable[[Target], Mapping[str, Any]] | None = None

    def store_of(self, endpoint: Target) -> Store[Any]:
        """Return the store of an endpoint."""
        store = self.older(endpoint) if self.older else endpoint.store(self.carrier.kind)
        assert store is not None
        return store


def job(ident: str, name: str) -> Job:
    return Job(job_id=ident, title=name, tags={ORIGIN: ident, "team": "risk"})


def without_team(made: Job) -> Job:
    return dataclasses.replace(made, tags={ORIGIN: made.job_id})


def issue(ident: str, name: str) -> Issue:
    return Issue(
        issue_id=ident,
        experiment_id="",
        name=name,
        description="It is rude.",
        severity="low",
        root_causes=("the prompt",),
    )


def resolved(made: Issue) -> Issue:
    return dataclasses.replace(made, status="resolved", severity="high")


def dataset(ident: str, name: str) -> EvaluationDataset:
    return EvaluationDataset(dataset_id=ident, name=name, tags={ORIGIN: ident, "team": "risk"})


def without_tags(made: EvaluationDataset) -> EvaluationDataset:
    return dataclasses.replace(made, tags={ORIGIN: made.dataset_id})


def scorer(ident: str, name: str) -> Scorer:
    told = json.dumps({"name": name, "builtin_scorer_class": "Safety"})
    versions = (ScorerVersion(1, told), ScorerVersion(3, told))
    return Scorer(scorer_id=ident, experiment_id="", name=name, versions=versions)


def without_version(made: Scorer) -> Scorer:
    return dataclasses.replace(made, versions=made.versions[:1])


def webhook(ident: str, name: str) -> Webhook:
    events = (WebhookEvent("PROMPT", "CREATED"),)
    status = "DISABLED"
    return Webhook(webhook_id=ident, name=name, url=HOOK, events=events, status=status)


def with_description(made: Webhook) -> Webhook:
    return dataclasses.replace(made, description="For the team.")


def hexadecimal(ident: str) -> str:
    """Return an id as MLflow makes them: those that are not kept are never odd."""
    return hashlib.sha256(ident.encode()).hexdigest()[:32]


def experiment(ident: str, name: str) -> Experiment:
    return Experiment(experiment_id=ident, name=name, tags={"team": "risk"})


def a_run(ident: str, name: str) -> Run:
    origin = hexadecimal(ident)
    return Run(
        run_id=origin,
        experiment_id="",
        name=name,
        user_id="ada",
        status="FINISHED",
        start_time=1_700_000_000_000,
        end_time=1_700_000_001_000,
        params={"lr": "0.1"},
        tags={ORIGIN: origin, "team": "risk"},
    )


def logged_model(ident: str, name: str) -> LoggedModel:
    origin = f"m-{hexadecimal(ident)}"
    return LoggedModel(
        model_id=origin,
        experiment_id="",
        name=name,
        status="READY",
        params={"lr": "0.1"},
        tags={ORIGIN: origin, "team": "risk"},
    )


def registered_model(ident: str, name: str) -> RegisteredModel:
    return RegisteredModel(name=name, description="It is rude.", tags={"team": "risk"})


def model_version(ident: str, name: str) -> ModelVersion:
    """The number is the one in ``ident``, or the place of an odd name."""
    number = ODD_NAMES.index(ident) + 1 if ident in ODD_NAMES else int(ident.strip("i")) + 1
    tags = {"team": "risk"}
    return ModelVersion(name="", version=number, source="s3://b/m", description=name, tags=tags)


def without_team_tag(made: Any) -> Any:
    tags = {key: text for key, text in made.tags.items() if key != "team"}
    return dataclasses.replace(made, tags=tags)


def a_trace(ident: str, name: str) -> Trace:
    tags = {"name": name, "team": "risk"}
    moment = 1_700_000_000_000
    trace_id = f"tr-{hexadecimal(ident)}"
    return Trace(trace_id=trace_id, experiment_id="", request_time=moment, state="OK", tags=tags)


def kinder(made: Any) -> Any:
    return dataclasses.replace(made, description="It is kind.", tags={})


OLDER = (
    Sample(
        carrier=Meaning(
            kind=Kind.EXPERIMENT, ident="experiment_id", name="name", members=("name", "tags")
        ),
        ident="experiment_id",
        make=experiment,
        change=without_team_tag,
        on_servers=Identity.NAMED,
        deletes=False,
        refuses=frozenset({" "} if IS_3_18 else ()),
        older=Experiments,
    ),
    Sample(
        carrier=Meaning(
            kind=Kind.RUN,
            ident="run_id",
            name="name",
            members=("name", "status", "end_time", "params", "tags", "lifecycle_stage"),
        ),
        ident="run_id",
        make=a_run,
        change=without_team_tag,
        on_servers=Identity.TAGGED,
        deletes=False,
        older=Runs,
    ),
    Sample(
        carrier=Meaning(
            kind=Kind.LOGGED_MODEL,
            ident="model_id",
            name="name",
            members=("name", "status", "params", "tags", "lifecycle_stage"),
        ),
        ident="model_id",
        make=logged_model,
        change=without_team_tag,
        on_servers=Identity.TAGGED,
        deletes=False,
        refuses=frozenset(name for name in ODD_NAMES if set(name) & set("/:.%\"'")),
        older=LoggedModels,
    ),
    Sample(
        carrier=Meaning(
            kind=Kind.REGISTERED_MODEL, ident="name", name="name", members=("description", "tags")
        ),
        ident="name",
        make=registered_model,
        change=kinder,
        on_servers=Identity.NAMED,
        writes_only_changes=True,
        refuses=frozenset({" ", "..", *(name for name in ODD_NAMES if "/" in name)}),
        older=RegisteredModels,
    ),
    Sample(
        carrier=OfVersions(
            kind=Kind.MODEL_VERSION,
            ident="version",
            name="description",
            members=("version", "source", "description", "tags"),
        ),
        ident="version",
        make=model_version,
        change=kinder,
        on_servers=Identity.NUMBERED,
        writes_only_changes=True,
        older=ModelVersions,
    ),
)
TRACES = Sample(
    carrier=Meaning(
        kind=Kind.TRACE,
        ident="trace_id",
        name="trace_id",
        members=("request_time", "state", "tags"),
    ),
    ident="trace_id",
    make=a_trace,
    change=without_team_tag,
    on_servers=Identity.KEPT,
    creates_again=True,
    older=Traces,
)


def label_schema(ident: str, name: str) -> LabelSchema:
    text = {"text": {"max_length": 5}}
    return LabelSchema(schema_id=ident, experiment_id="", name=name, input=text)


def with_comments(made: LabelSchema) -> LabelSchema:
    return dataclasses.replace(made, enable_comment=True, input={"text": {"max_length": 6}})


def queue(ident: str, name: str) -> ReviewQueue:
    return ReviewQueue(queue_id=ident, experiment_id="", name=name, users=("ada", "grace"))


def without_users(made: ReviewQueue) -> ReviewQueue:
    return dataclasses.replace(made, users=())


def user(ident: str, name: str) -> User:
    return User(username=f"{ident} {name}")


def an_administrator(made: User) -> User:
    return dataclasses.replace(made, is_admin=True)


def role(ident: str, name: str) -> Role:
    permits = (RolePermission("experiment", "*", "READ"),)
    called = f"{ident} {name}"
    return Role(name=called, description="All.", permissions=permits, members=("ana", "bob"))


def without_description(made: Role) -> Role:
    return dataclasses.replace(made, description="")


def mcp_server(ident: str, name: str) -> MCPServer:
    called = f"com.example/{ident}-{name}"
    told = {"name": called, "version": "1.0.0"}
    versions = (MCPServerVersion("1.0.0", told, status="active"),)
    return MCPServer(name=called, tags={"team": "risk"}, versions=versions)


def other_server(made: MCPServer) -> MCPServer:
    [version] = made.versions
    aliases = {"stable": "1.0.0"}
    versions = (version._replace(status="deprecated"),)
    return dataclasses.replace(made, tags={}, versions=versions, aliases=aliases)


def skill(ident: str, name: str) -> Skill:
    called = f"{ident}-{name}"
    return Skill(identity=called, description="It reviews.", tags={"team": "risk"})


def secret(ident: str, name: str) -> GatewaySecret:
    return GatewaySecret(secret_id=ident, name=name, provider="openai")


def at_another_place(made: GatewaySecret) -> GatewaySecret:
    return dataclasses.replace(made, auth_config={"api_base": "https://93.184.216.34/v2"})


def model_definition(ident: str, name: str) -> GatewayModel:
    return GatewayModel(model_definition_id=ident, name=name, provider="openai", model_name="gpt-5")


def newer(made: GatewayModel) -> GatewayModel:
    return dataclasses.replace(made, model_name="gpt-6")


def gateway_endpoint(ident: str, name: str) -> GatewayEndpoint:
    return GatewayEndpoint(endpoint_id=ident, name=name, tags={"team": "risk"})


def budget(ident: str, name: str) -> GatewayBudget:
    return GatewayBudget(
        budget_policy_id=ident,
        budget_amount=1.5,
        # It has no name: what it is for tells it from others.
        duration={"unit": "DAYS", "value": 1 + zlib.crc32(name.encode()) % 10_000},
    )


def higher(made: GatewayBudget) -> GatewayBudget:
    return dataclasses.replace(made, budget_amount=2.5)


def guardrail(ident: str, name: str) -> GatewayGuardrail:
    return GatewayGuardrail(guardrail_id=ident, name=name)


def guarding_nothing(made: GatewayGuardrail) -> GatewayGuardrail:
    return dataclasses.replace(made, endpoints=())


def a_secret(api: Api) -> Mapping[str, Any]:
    said = {"secret_name": "key", "secret_value": {"api_key": "hush"}, "provider": "openai"}
    return {"secret_id": make_of_gateway(api, "secrets", "secret", **said)}


def a_model(api: Api) -> Mapping[str, Any]:
    said = {"name": "gpt", "provider": "openai", "model_name": "gpt-5", **a_secret(api)}
    ident = make_of_gateway(api, "model-definitions", "model_definition", **said)
    return {"model_configs": (ModelConfig(ident),)}


def a_guarded_endpoint(api: Api) -> Mapping[str, Any]:
    [config] = a_model(api)["model_configs"]
    configs = [{"model_definition_id": config.model_definition_id, "linkage_type": "PRIMARY"}]
    ident = make_of_gateway(api, "endpoints", "endpoint", name="chat", model_configs=configs)
    experiment = api.experiment("support")
    register(api, experiment, "safety", builtin_scorer_class="Safety")
    return {"endpoints": (GuardedEndpoint(ident, 1),), "scorer": f"{experiment}/safety"}


def a_guarded_endpoint_stored(target: Target) -> Mapping[str, Any]:
    endpoints, scorers = (target.store(it) for it in (Kind.GATEWAY_ENDPOINT, Kind.SCORER))
    assert endpoints is not None
    assert scorers is not None
    endpoint = endpoints.create("", gateway_endpoint("e", "chat"))
    experiment = target.experiments.create(Experiment(experiment_id="7", name="support"))
    judge = scorers.create(experiment, scorer("s", "safety"))
    return {"endpoints": (GuardedEndpoint(endpoint.endpoint_id, 1),), "scorer": judge.scorer_id}


OF_TESTS = Sample(
    carrier=Jobs(),
    ident="job_id",
    make=job,
    change=without_team,
    on_servers=Identity.TAGGED,
)
SAMPLES = (
    Sample(
        carrier=EvaluationDatasets(),
        ident="dataset_id",
        make=dataset,
        change=without_tags,
        on_servers=Identity.TAGGED,
    ),
    Sample(
        carrier=Scorers(),
        ident="scorer_id",
        make=scorer,
        change=without_version,
        on_servers=Identity.NAMED,
        refuses=frozenset({" "}),
    ),
    Sample(
        carrier=Issues(),
        ident="issue_id",
        make=issue,
        change=resolved,
        on_servers=Identity.NAMED,
        refuses=frozenset({"a" * 300} if IS_3_18 else ()),
        refuses_twins=False,
        deletes=False,
    ),
    Sample(
        carrier=LabelSchemas(),
        ident="schema_id",
        make=label_schema,
        change=with_comments,
        on_servers=Identity.NAMED,
        # A list of them makes one more, so it is no list of what was created.
        tried_on_servers=False,
    ),
    Sample(
        carrier=ReviewQueues(),
        ident="queue_id",
        make=queue,
        change=without_users,
        on_servers=Identity.NAMED,
        refuses=frozenset({" ", "a" * 300}),
    ),
    Sample(
        carrier=MCPServers(),
        ident="name",
        make=mcp_server,
        change=other_server,
        # Its name is its id.
        on_servers=Identity.KEPT,
        refuses=frozenset(ODD_NAMES) - {"CON", "a.b.c", "a" * 300},
    ),
    Sample(
        carrier=Skills(),
        ident="identity",
        make=skill,
        change=kinder,
        # Its name is its id.
        on_servers=Identity.KEPT,
        there=IS_3_18,
        refuses=frozenset(ODD_NAMES),
    ),
    Sample(
        carrier=Webhooks(),
        ident="webhook_id",
        make=webhook,
        change=with_description,
        on_servers=Identity.NAMED,
        refuses_twins=False,
        refuses=frozenset(ODD_NAMES) - {"CON", "a.b.c"},
    ),
    Sample(
        carrier=GatewaySecrets(),
        ident="secret_id",
        make=secret,
        change=at_another_place,
        on_servers=Identity.NAMED,
    ),
    Sample(
        carrier=GatewayModels(),
        ident="model_definition_id",
        make=model_definition,
        change=newer,
        on_servers=Identity.NAMED,
        needs=a_secret,
    ),
    Sample(
        carrier=GatewayEndpoints(),
        ident="endpoint_id",
        make=gateway_endpoint,
        change=without_team_tag,
        on_servers=Identity.NAMED,
        refuses=frozenset(ODD_NAMES) - {"CON", "..", "a" * 300, "a.b.c"},
        needs=a_model,
    ),
    Sample(
        carrier=GatewayBudgets(),
        ident="budget_policy_id",
        make=budget,
        change=higher,
        on_servers=Identity.NAMED,
        refuses_twins=False,
    ),
    Sample(
        carrier=GatewayGuardrails(),
        ident="guardrail_id",
        make=guardrail,
        change=guarding_nothing,
        on_servers=Identity.NAMED,
        refuses_twins=False,
        needs=a_guarded_endpoint,
        needs_stored=a_guarded_endpoint_stored,
    ),
    Sample(
        carrier=Users(),
        ident="username",
        make=user,
        change=an_administrator,
        # Its name is its id, of roles too.
        on_servers=Identity.KEPT,
        tried_on_servers=False,
    ),
    Sample(
        carrier=Roles(),
        ident="name",
        make=role,
        change=without_description,
        on_servers=Identity.KEPT,
        tried_on_servers=False,
    ),
)

Opened = Callable[[Path, pytest.FixtureRequest], Subject]


def in_memory(sample: Sample, identity: Identity) -> Opened:
    """Keep a kind in memory."""
    carrier = sample.carrier
    assert isinstance(carrier, RecordCarrier)

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        store = MemoryStore(carrier, identity, sample.ident)
        held = sample.carrier.kind.container is not None
        return _subject(sample, store, ("1", "2") if held else ("", ""))

    return opened


def in_a_directory(sample: Sample) -> Opened:
    """Keep a kind in an export."""

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        subject = _in_two(sample, ExportDirectory(folder / "export", writable=True))
        twins = sample.carrier.kind is Kind.MODEL_VERSION
        return dataclasses.replace(subject, replaces_twins=twins)

    return opened


def in_a_database(sample: Sample) -> Opened:
    """Keep a kind in a database of MLflow without a server."""

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        endpoint: Target = request.getfixturevalue("database_target")
        whole = {Kind.RUN, Kind.LOGGED_MODEL, Kind.TRACE, Kind.EVALUATION_DATASET, Kind.SKILL}
        needs = sample.needs_stored(endpoint) if sample.needs_stored else {}

        def make(ident: str, name: str) -> Any:
            return dataclasses.replace(sample.make(ident, name), **needs)

        subject = dataclasses.replace(_in_two(sample, endpoint), make=make)
        return dataclasses.replace(
            subject,
            appears_whole=sample.carrier.kind in whole,
            # Folders are named by it.
            refuses=sample.refuses if sample.carrier.kind is Kind.SKILL else frozenset(),
        )

    return opened


def on_a_server(sample: Sample) -> Opened:
    """Keep a kind on a real server with nothing else on it."""

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        uri = request.getfixturevalue("fresh_target").uri
        endpoint = open_target(Address(uri=uri, side="target", workers=2))
        request.addfinalizer(endpoint.close)
        needs = sample.needs(Api(uri)) if sample.needs else {}

        def make(ident: str, name: str) -> Any:
            return dataclasses.replace(sample.make(ident, name), **needs)

        return dataclasses.replace(on(endpoint, sample), make=make)

    return opened


def on(endpoint: Target, sample: Sample) -> Subject:
    """Return a kind on a server with nothing else on it, without what its objects need there."""
    return dataclasses.replace(
        _subject(sample, sample.store_of(endpoint), _containers(sample, endpoint)),
        refuses_twins=sample.refuses_twins,
        deletes=sample.deletes,
        writes_only_changes=sample.writes_only_changes,
        refuses=sample.refuses,
    )


def in_memory_server(sample: Sample) -> Opened:
    """Keep a kind in the memory that stands for a server where the planner and tasks are tried."""

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        return _in_two(sample, MemoryServer())

    return opened


def _containers(sample: Sample, endpoint: Target) -> tuple[str, str]:
    """Make two of what holds the objects of a kind; nothing where nothing does."""
    if sample.carrier.kind.container is None:
        return "", ""
    if sample.carrier.kind.container is Kind.REGISTERED_MODEL:
        for name in ("one", "other"):
            endpoint.registered_models.create(RegisteredModel(name=name))
        return "one", "other"
    one, other = (Experiment(experiment_id=it, name=f"in {it}") for it in "12")
    return endpoint.experiments.create(one), endpoint.experiments.create(other)


def _in_two(sample: Sample, endpoint: Target) -> Subject:
    subject = _subject(sample, sample.store_of(endpoint), _containers(sample, endpoint))
    return dataclasses.replace(subject, deletes=sample.deletes or sample.older is None)


def _subject(sample: Sample, store: Any, places: tuple[str, str]) -> Subject:
    return Subject(
        store=store,
        carrier=sample.carrier,
        container=places[0],
        other_container=places[1],
        make=sample.make,
        change=sample.change,
        creates_again=sample.creates_again,
    )


SUBJECTS: dict[str, Opened] = {
    "memory, ids kept": in_memory(OF_TESTS, Identity.KEPT),
    "memory, tagged": in_memory(OF_TESTS, Identity.TAGGED),
    "memory, named": in_memory(OF_TESTS, Identity.NAMED),
    "directory": in_a_directory(OF_TESTS),
}
for sample in SAMPLES:
    kind = sample.carrier.kind
    SUBJECTS |= {
        f"{kind}, memory": in_memory(sample, sample.on_servers),
        f"{kind}, directory": in_a_directory(sample),
    }
    if sample.tried_on_servers and sample.there:
        SUBJECTS[f"{kind}, server"] = on_a_server(sample)
    if kind not in ON_REQUEST and sample.there:
        SUBJECTS[f"{kind}, database"] = in_a_database(sample)
for sample in OLDER:
    kind = sample.carrier.kind
    SUBJECTS |= {
        f"{kind}, memory": in_memory_server(sample),
        f"{kind}, directory": in_a_directory(sample),
        f"{kind}, database": in_a_database(sample),
        f"{kind}, server": on_a_server(sample),
    }
SUBJECTS |= {
    "trace, directory": in_a_directory(TRACES),
    "trace, database": in_a_database(TRACES),
    "trace, server": on_a_server(TRACES),
}
