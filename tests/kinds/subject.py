"""What the suite of stores is held against: a store, and how its objects are made."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrate.endpoints.addresses import Address, open_endpoint
from migrate.endpoints.directory import ExportDirectory
from migrate.endpoints.stores import Identity, Store
from migrate.origins import ORIGIN
from migrate.records.evaluation_datasets import EvaluationDataset
from migrate.records.issues import Issue
from migrate.records.label_schemas import LabelSchema
from migrate.records.mcp_servers import MCPServer, MCPServerVersion
from migrate.records.review_queues import ReviewQueue
from migrate.records.scorers import Scorer, ScorerVersion
from migrate.records.webhooks import Webhook, WebhookEvent
from migrate.tasks.carrier import RecordCarrier
from migrate.tasks.evaluation_dataset import EvaluationDatasets
from migrate.tasks.issue import Issues
from migrate.tasks.label_schema import LabelSchemas
from migrate.tasks.mcp_server import MCPServers
from migrate.tasks.review_queue import ReviewQueues
from migrate.tasks.scorer import Scorers
from migrate.tasks.webhook import Webhooks
from tests.kinds.job import Job, Jobs
from tests.kinds.memory import MemoryStore
from tests.seed_records import HOOK, Api

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
    carrier: RecordCarrier[Any]
    container: str
    other_container: str
    make: Callable[[str, str], Any]
    #: Returns an object that lacks something, or has it otherwise.
    change: Callable[[Any], Any]
    #: Whether the endpoint refuses a second object of a key, and deletes what it is told to.
    refuses_twins: bool = True
    deletes: bool = True
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
    """A kind, and objects of it; ``on_servers`` is by what its copies are found there."""

    carrier: RecordCarrier[Any]
    ident: str
    make: Callable[[str, str], Any]
    change: Callable[[Any], Any]
    on_servers: Identity
    tried_on_servers: bool = True
    refuses_twins: bool = True
    deletes: bool = True
    refuses: frozenset[str] = frozenset()


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


def label_schema(ident: str, name: str) -> LabelSchema:
    text = {"text": {"max_length": 5}}
    return LabelSchema(schema_id=ident, experiment_id="", name=name, input=text)


def with_comments(made: LabelSchema) -> LabelSchema:
    return dataclasses.replace(made, enable_comment=True, input={"text": {"max_length": 6}})


def queue(ident: str, name: str) -> ReviewQueue:
    return ReviewQueue(queue_id=ident, experiment_id="", name=name, users=("ada", "grace"))


def without_users(made: ReviewQueue) -> ReviewQueue:
    return dataclasses.replace(made, users=())


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
        carrier=Webhooks(),
        ident="webhook_id",
        make=webhook,
        change=with_description,
        on_servers=Identity.NAMED,
        refuses_twins=False,
        refuses=frozenset(ODD_NAMES) - {"CON", "a.b.c"},
    ),
)

Opened = Callable[[Path, pytest.FixtureRequest], Subject]


def in_memory(sample: Sample, identity: Identity) -> Opened:
    """Keep a kind in memory."""

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        store = MemoryStore(sample.carrier, identity, sample.ident)
        held = sample.carrier.kind.container is not None
        return _subject(sample, store, ("1", "2") if held else ("", ""))

    return opened


def in_a_directory(sample: Sample) -> Opened:
    """Keep a kind in an export."""

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        store = ExportDirectory(folder / "export", writable=True).store(sample.carrier.kind)
        assert store is not None
        held = sample.carrier.kind.container is not None
        return _subject(sample, store, ("1", "2") if held else ("", ""))

    return opened


def on_a_server(sample: Sample) -> Opened:
    """Keep a kind on a real server with nothing else on it."""

    def opened(folder: Path, request: pytest.FixtureRequest) -> Subject:
        uri = request.getfixturevalue("fresh_target").uri
        endpoint = open_endpoint(Address(uri=uri, side="target", workers=2))
        request.addfinalizer(endpoint.close)
        store = endpoint.store(sample.carrier.kind)
        assert store is not None
        api = Api(uri)
        held = sample.carrier.kind.container is not None
        places = (api.experiment("one"), api.experiment("other")) if held else ("", "")
        return dataclasses.replace(
            _subject(sample, store, places),
            refuses_twins=sample.refuses_twins,
            deletes=sample.deletes,
            refuses=sample.refuses,
        )

    return opened


def _subject(sample: Sample, store: Any, places: tuple[str, str]) -> Subject:
    return Subject(
        store=store,
        carrier=sample.carrier,
        container=places[0],
        other_container=places[1],
        make=sample.make,
        change=sample.change,
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
    if sample.tried_on_servers:
        SUBJECTS[f"{kind}, server"] = on_a_server(sample)
