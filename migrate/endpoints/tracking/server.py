"""A tracking server as source and target, over MLflow's REST API."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from migrate.endpoints.answers import (
    NOT_TOLD,
    Capabilities,
    Copy,
    Ended,
    Histories,
    Unreadable,
)
from migrate.endpoints.artifacts.locations import NO_ROOTS, Roots
from migrate.endpoints.shapes import Object, ident, member, required, text
from migrate.endpoints.stores import Store
from migrate.endpoints.tracking.artifacts import ArtifactStores
from migrate.endpoints.tracking.entries import Entries
from migrate.endpoints.tracking.http.session import HttpSession, read_once
from migrate.endpoints.tracking.part_calls import PartCalls
from migrate.endpoints.tracking.parts import API
from migrate.endpoints.tracking.permissions.basic_auth import BasicAuth
from migrate.endpoints.tracking.permissions.calls import PermissionCalls
from migrate.endpoints.tracking.refusals import deliver_singly
from migrate.endpoints.tracking.searches.experiments import ExperimentSearch
from migrate.endpoints.tracking.searches.histories import HistoryReader
from migrate.endpoints.tracking.searches.search import LOGGED_MODELS, RUNS, Search
from migrate.endpoints.tracking.spellings import folding_of
from migrate.endpoints.tracking.stores.flattened import FlattenedModels
from migrate.endpoints.tracking.stores.logged_models import LoggedModelCalls
from migrate.endpoints.tracking.stores.registered_models import RegistryCalls
from migrate.endpoints.tracking.uncopied import (
    EXPERIMENTS_PER_SEARCH,
    OF_REGISTRY,
    OF_SERVER,
    UncopiedObjects,
)
from migrate.endpoints.tracking.versions import capabilities_of
from migrate.endpoints.tracking.wire import (
    EXPERIMENT,
    RUN,
    copy_from,
    experiment_from,
    run_from,
    tags_to,
)
from migrate.endpoints.tracking.writer import ServerRunWriter, tags_to_begin_with
from migrate.endpoints.tracking.writers import WriterTags
from migrate.errors import (
    EndpointError,
    MigrateError,
    NotFound,
    Refused,
    ServerFault,
)
from migrate.objects import (
    ACTIVE,
    DELETED,
    Artifact,
    ArtifactRoot,
    Experiment,
    Kind,
    Loss,
    Metric,
    Ref,
    Run,
)
from migrate.origins import ORIGIN, bookkeeping

EXPERIMENTS_PER_PAGE = 1000
#: Experiments of a listing that cost a server about as much as one that is asked for by its id.
READ_AT_THE_COST_OF_ONE = 20
IDS_PER_SEARCH = 100


class TrackingServer(PartCalls, LoggedModelCalls, RegistryCalls, PermissionCalls, WriterTags):
    """Source and target in one; safe for use by several threads.

    ``tracking_uri`` is what MLflow's own artifact repositories are given; ``workspace`` is the
    one that every call names (MLflow 3.10 and later), empty for the default; ``users`` are those
    whose permissions are asked for where the server cannot list its users. ``registry`` calls
    the server that keeps registered models, when that is another one; ``roots`` are the places of
    files that the user named.
    """

    def __init__(
        self,
        http: HttpSession,
        *,
        side: str,
        address: str,
        tracking_uri: str,
        workspace: str = "",
        users: Sequence[str] = (),
        registry: HttpSession | None = None,
        roots: Roots = NO_ROOTS,
    ) -> None:
        self._http = http
        self._registry_http = registry or http
        self._side = side
        self._address = address
        self._workspace = workspace
        self._users = users
        self._capabilities: Capabilities | None = None
        self._histories: HistoryReader | None = None
        self._connecting = threading.Lock()
        #: Sentences in the order in which they were first said, as keys.
        self._unknown: dict[str, None] = {}
        #: How many experiments the last whole listing had.
        self._experiments_seen = 0
        self._not_known: dict[Kind, str] = {}
        self._part_notes: list[str] = []
        self._entries = Entries(side)
        unreadable = self._entries.unreadable
        of_models = LOGGED_MODELS._replace(per_page=self._models_per_page)
        self._experiment_search = ExperimentSearch(
            http, side, self._leave_out_experiment, self._doubt
        )
        self._run_search = Search(http, side, unreadable, RUNS)
        self._model_search = Search(http, side, unreadable, of_models)
        self._flattened = FlattenedModels(http)
        self._stores = ArtifactStores(http, side=side, tracking_uri=tracking_uri, roots=roots)

    # -- Endpoint ---------------------------------------------------------------------------

    def store(self, kind: Kind) -> Store[Any] | None:
        """See ``Endpoint.store``."""
        return None

    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``; raises the reason when the server is no use."""
        with self._connecting:
            if self._capabilities is None:
                self._capabilities = self._connect()
            return self._capabilities

    def unknown(self) -> Sequence[str]:
        """See ``Endpoint.unknown``."""
        servers = dict.fromkeys((self._http, self._registry_http))
        silences = [text for http in servers for text in http.silence.doubts()]
        return (*self._unknown, *silences)

    def transferred(self) -> int:
        """See ``Endpoint.transferred``."""
        return self._stores.transferred

    def close(self) -> None:
        """See ``Endpoint.close``."""
        self._stores.close()
        self._http.close()
        self._registry_http.close()

    def publish(self, ended: Ended = NOT_TOLD) -> None:
        """A server needs no indexes from us."""

    def keep_losses(self, copy: Ref, losses: Sequence[Loss]) -> None:
        """See ``Target.keep_losses``: tags of the copy say it."""

    def claim(self) -> None:
        """See ``Target.claim``: a server takes several writers at a time."""

    def withdraw(self) -> None:
        """Opening a server makes nothing."""

    def notebook(self, path: str, revision: str, export_format: str) -> bytes:
        """See ``ReadsNotebooks.notebook``."""
        raise NotFound(f"{self._address} has no notebooks: only Databricks has")

    def _connect(self) -> Capabilities:
        self._check_essentials()
        self._learn_releases()
        default: Object = {}
        try:
            answer = self._http.get(f"{API}/experiments/get", {"experiment_id": "0"})
            default = member(answer, "experiment")
        except MigrateError:
            pass  # no Default experiment, or not ours to see: the address has to do
        created = text(default, "creation_time")
        name = f"MLflow {self._release} at {self._address}"
        if self._workspace:
            name += f", workspace {self._workspace}"
        identity = f"{self._address}#{created}#{self._workspace}"
        if self._registry_http is not self._http:
            name += f", registered models at {self._registry_http.base_url}"
            identity += f"#{self._registry_http.base_url}"
        account = self._account(self._http)
        has_permissions, reason = self._find_permissions(account)
        can = capabilities_of(
            self._release,
            self._registry_release,
            description=name,
            identity=identity,
            without=self._missing_kinds(),
            notes=(*self._notes(account), *self._part_notes),
        )
        can = dataclasses.replace(can, permissions=has_permissions, without_permissions=reason)
        if self._side == "source":
            return can
        folding = registry = folding_of(self._http)
        if self._registry_http is not self._http:
            registry = folding_of(self._registry_http)
        return dataclasses.replace(can, folding=folding, registry_folding=registry)

    # -- ReadsExperiments -------------------------------------------------------------------

    def experiments(self) -> Iterator[Experiment]:
        """See ``ReadsExperiments.experiments``."""
        pages = self._experiment_search.pages(EXPERIMENTS_PER_PAGE)
        number = 0
        for experiment in self._entries.all(pages, "experiments", EXPERIMENT, experiment_from):
            number += 1
            yield experiment
        self._experiments_seen = number

    def read_experiments(self, experiment_ids: Sequence[str]) -> list[Experiment]:
        """See ``ReadsExperiments.read_experiments``; whichever way takes the server less work."""
        if self._experiments_seen <= len(experiment_ids) * READ_AT_THE_COST_OF_ONE:
            wanted = set(experiment_ids)
            return [item for item in self.experiments() if item.experiment_id in wanted]
        found = map(self._read_experiment, experiment_ids)
        return [experiment for experiment in found if experiment is not None]

    def _read_experiment(self, experiment_id: str) -> Experiment | None:
        try:
            answer = self._http.get(f"{API}/experiments/get", {"experiment_id": experiment_id})
        except NotFound:
            return None
        except (Refused, ServerFault) as problem:
            reason = self._experiment_search.reason(experiment_id, problem)
            self._leave_out_experiment(experiment_id, reason)
            return None
        return self._entries.one(answer, "experiment", EXPERIMENT, experiment_from)

    def _leave_out_experiment(self, experiment_id: str, reason: EndpointError) -> None:
        """Tell of one that cannot be served. Raises it on a target: it may be a copy."""
        if self._side != "source":
            raise reason
        ref = Ref(Kind.EXPERIMENT, experiment_id)
        self._entries.unreadable.report(ref, "", f"{API}/experiments/get", reason)

    def _doubt(self, text: str) -> None:
        if self._side != "source":
            raise EndpointError(text)
        self._unknown[text] = None

    def unsupported(
        self, experiment_ids: Sequence[str], *, whole_server: bool = False
    ) -> Mapping[Kind, int]:
        """See ``ReadsExperiments.unsupported``."""
        self.capabilities()
        here = UncopiedObjects(self._http, self._release, side=self._side)
        counts = here.in_experiments(experiment_ids, whole_server=whole_server)
        if whole_server:
            there = here
            if self._registry_http is not self._http:
                registry = self._registry_http
                there = UncopiedObjects(registry, self._registry_release, side=self._side)
            counts |= there.of_server(OF_REGISTRY) | here.of_server(OF_SERVER)
            self._unknown |= dict.fromkeys(there.unknown)
        self._unknown |= dict.fromkeys(here.unknown)
        return {kind: number for kind, number in counts.items() if number}

    # -- ReadsRuns --------------------------------------------------------------------------

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """See ``ReadsRuns.runs``. Ordered by start, so that runs begun meanwhile come last."""
        for start in range(0, len(experiment_ids), EXPERIMENTS_PER_SEARCH):
            chunk = list(experiment_ids[start : start + EXPERIMENTS_PER_SEARCH])
            yield from self._search_runs(chunk, order_by=["attributes.start_time ASC"])

    def unreadable(self) -> Sequence[Unreadable]:
        """See ``ReadsRuns.unreadable``."""
        return self._entries.unreadable.all()

    def why_unreadable(self, ref: Ref) -> Unreadable | None:
        """See ``ReadsRuns.why_unreadable``."""
        return self._entries.unreadable.of(ref)

    def read_runs(self, experiment_id: str, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsRuns.read_runs``."""
        if not self._filters_run_ids():
            return [run for run in map(self._read_run, run_ids) if run is not None]
        return self._runs_among([experiment_id], run_ids)

    def _filters_run_ids(self) -> bool:
        self.capabilities()
        return self._release.reaches((2, 3))

    def _read_run(self, run_id: str) -> Run | None:
        try:
            answer = self._http.get(f"{API}/runs/get", {"run_id": run_id})
        except NotFound:
            return None
        except Refused as problem:
            self._run_search.leave_out(run_id, "", "runs/get", problem)
            return None
        return self._entries.one(answer, "run", RUN, run_from)

    def _search_runs(
        self, experiment_ids: Sequence[str], condition: str = "", **options: Any
    ) -> Iterator[Run]:
        pages = self._run_search.pages(experiment_ids, condition, **options)
        yield from self._entries.all(pages, "runs", RUN, run_from)

    def histories(self, runs: Sequence[Run], budget: int) -> dict[str, Histories]:
        """See ``ReadsRuns.histories``."""
        return self._history_reader().histories(runs, budget)

    def metric_history(self, run_id: str, key: str) -> Iterator[Sequence[Metric]]:
        """See ``ReadsRuns.metric_history``."""
        return self._history_reader().metric_history(run_id, key)

    def _history_reader(self) -> HistoryReader:
        if self._histories is None:
            self.capabilities()
            bulk_runs = 20 if self._release.reaches((2, 3)) else 0
            bulk_runs = 100 if self._release.reaches((2, 22)) else bulk_runs
            self._histories = HistoryReader(self._http, bulk_runs)
        return self._histories

    def find_runs(self, run_ids: Sequence[str]) -> list[Run]:
        """See ``ReadsLoggedModels.find_runs``."""
        if not run_ids:
            return []
        if len(run_ids) == 1 or not self._filters_run_ids():
            return [run for run in map(self._read_run, run_ids) if run is not None]
        ids = [experiment.experiment_id for experiment in self.experiments()]
        found = self._runs_among(ids, run_ids)
        # A search sees no run of an experiment that is not listed, and may leave out others.
        hidden = sorted(set(run_ids) - {run.run_id for run in found})
        return found + [run for run in map(self._read_run, hidden) if run is not None]

    def _runs_among(self, experiment_ids: list[str], run_ids: Sequence[str]) -> list[Run]:
        found: list[Run] = []
        for start in range(0, len(run_ids), IDS_PER_SEARCH):
            some = run_ids[start : start + IDS_PER_SEARCH]
            found.extend(self._search_runs(experiment_ids, among=some))
        return found

    # -- artifacts --------------------------------------------------------------------------

    def artifacts(self, root: ArtifactRoot) -> list[Artifact]:
        """See ``ReadsArtifacts.artifacts``."""
        return self._stores.store(root).list_files()

    def open_artifact(
        self, root: ArtifactRoot, artifact: Artifact
    ) -> AbstractContextManager[BinaryIO]:
        """See ``ReadsArtifacts.open_artifact``."""
        return self._stores.store(root).open(artifact)

    def digests(self, root: ArtifactRoot) -> Mapping[str, str]:
        """See ``ReadsArtifacts.digests``: no server of MLflow tells any."""
        return {}

    def put_artifact(self, root: ArtifactRoot, artifact: Artifact, stream: BinaryIO) -> None:
        """See ``WritesArtifacts.put_artifact``."""
        self._stores.put(root, artifact, stream)

    # -- WritesExperiments ------------------------------------------------------------------

    def create_experiment(self, experiment: Experiment) -> str:
        """See ``WritesExperiments.create_experiment``."""
        body: dict[str, Any] = {"name": experiment.name, "tags": tags_to(experiment.tags)}
        if experiment.artifact_location:
            body["artifact_location"] = experiment.artifact_location
        answer = self._http.post(f"{API}/experiments/create", body, idempotent=False)
        with read_once():
            return ident(answer, "experiment_id")

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> tuple[Loss, ...]:
        """See ``WritesExperiments.set_experiment_tags``."""
        named = {"experiment_id": experiment_id}

        def send(tag: tuple[str, str], fault_tries: int) -> None:
            body = {**named, "key": tag[0], "value": tag[1]}
            path = f"{API}/experiments/set-experiment-tag"
            self._http.post(path, body, idempotent=True, fault_tries=fault_tries)

        def ask() -> None:
            self._http.get(f"{API}/experiments/get", named)

        return deliver_singly(send, ask, list(tags.items()), lambda tag: f"tag {tag[0]}")

    def remove_experiment_tags(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See ``WritesExperiments.remove_experiment_tags``."""
        for key in keys:
            body = {"experiment_id": experiment_id, "key": key}
            self._http.post(f"{API}/experiments/delete-experiment-tag", body, idempotent=True)

    def delete_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.delete_experiment``."""
        self._move_experiment("delete", experiment_id, DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """See ``WritesExperiments.restore_experiment``."""
        self._move_experiment("restore", experiment_id, ACTIVE)

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See ``WritesExperiments.rename_experiment``."""
        self._post_experiment("update", experiment_id, new_name=name)

    def _move_experiment(self, verb: str, experiment_id: str, stage: str) -> None:
        """Delete or restore; one that is at ``stage`` already, after a lost answer, stays there."""
        try:
            self._post_experiment(verb, experiment_id)
        except NotFound:  # the answer to a second time, too
            found = self._http.get(f"{API}/experiments/get", {"experiment_id": experiment_id})
            if experiment_from(required(found, "experiment")).lifecycle_stage != stage:
                raise

    def _post_experiment(self, verb: str, experiment_id: str, **fields: str) -> None:
        body = {"experiment_id": experiment_id, **fields}
        self._http.post(f"{API}/experiments/{verb}", body, idempotent=True)

    def delete_registered_model(self, name: str) -> None:
        """See ``WritesRegistry.delete_registered_model``."""
        super().delete_registered_model(name)
        if isinstance(self._registry_auth, BasicAuth):
            self._registry_auth.forget(name)

    # -- WritesRuns -------------------------------------------------------------------------

    def create_run(self, experiment_id: str, run: Run, *, anew: bool = False) -> ServerRunWriter:
        """See ``WritesRuns.create_run``."""
        body: dict[str, Any] = {
            "experiment_id": experiment_id,
            "user_id": run.user_id,
            "start_time": run.start_time,
            "tags": tags_to(tags_to_begin_with(run.tags)),
        }
        if run.name:
            body["run_name"] = run.name
        try:
            answer = self._http.post(f"{API}/runs/create", body, idempotent=False)
        except Refused:
            ours = bookkeeping(run.tags)
            if ours == run.tags:
                raise
            # One tag may be at fault. The others follow, and what is refused then has a name.
            body["tags"] = tags_to(ours)
            answer = self._http.post(f"{API}/runs/create", body, idempotent=False)
        with read_once():
            made = run_from(required(answer, "run"))
        writer = ServerRunWriter(self._http, made, run.tags)
        if made.tags.get(ORIGIN) != run.tags.get(ORIGIN):
            self._claim(writer, run.tags[ORIGIN])
        return writer

    def _claim(self, writer: ServerRunWriter, origin: str) -> None:
        """Give a run its origin, which its create was to give it.

        Raises ``EndpointError`` where the target does not keep it, having moved the run to the
        trash: nobody could tell whose copy it is.
        """
        writer.flush_tags()
        made = self._read_run(writer.run_id)
        if made is not None and made.tags.get(ORIGIN) == origin:
            return
        self._http.post(f"{API}/runs/delete", {"run_id": writer.run_id}, idempotent=True)
        raise EndpointError(
            f"the {self._side} at {self._address} made run {writer.run_id} for run {origin} "
            "without the tags it was sent, and keeps none: it was moved to the trash",
            "is a gateway before the server that lets only a part of requests pass?",
        )

    def adopt_run(self, experiment_id: str, copy: Run, run: Run) -> ServerRunWriter:
        """See ``WritesRuns.adopt_run``."""
        return ServerRunWriter(self._http, copy, run.tags)

    def find_copies(
        self, experiment_id: str, origins: Collection[str] | None = None
    ) -> dict[str, list[Copy]]:
        """See ``WritesRuns.find_copies``."""
        few = origins is not None and len(origins) <= 3
        conditions = (
            [f"tags.`{ORIGIN}` = '{origin}'" for origin in origins or ()]
            if few
            else [f"tags.`{ORIGIN}` LIKE '%'"]
        )
        found: dict[str, list[Copy]] = {}
        for condition in conditions:
            for run in self._search_runs([experiment_id], condition, for_copies=True):
                ref = Ref(Kind.RUN, run.run_id)
                copy = copy_from(ref, run.tags, run.lifecycle_stage, self._address)
                found.setdefault(copy.origin, []).append(copy)
        for copy in self._run_search.copies_left_out(experiment_id, origins if few else None):
            found.setdefault(copy.origin, []).append(copy)
        for copies in found.values():
            copies.sort(key=lambda copy: copy.rank)
        return found

    def restore_runs(self, run_ids: Sequence[str]) -> None:
        """See ``WritesRuns.restore_runs``."""
        for run_id in run_ids:
            self._http.post(f"{API}/runs/restore", {"run_id": run_id}, idempotent=True)
