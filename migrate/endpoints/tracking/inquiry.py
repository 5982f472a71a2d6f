"""What a tracking server is asked when it connects: its version, its parts, whom it knows us as."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from functools import partial

from migrate.endpoints.shapes import Object, member, text
from migrate.endpoints.tracking.abilities import Learned
from migrate.endpoints.tracking.capabilities import capabilities_of
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.parts import (
    API,
    EXPERIMENTS,
    LABEL_SCHEMAS,
    LOGGED_MODELS,
    MODEL_VERSIONS,
    REGISTERED_MODELS,
    RUNS,
    UNKNOWN_RELEASE,
    Answer,
    Standing,
    ask,
    infer_release,
)
from migrate.endpoints.tracking.permissions.servers import ServerPermissions
from migrate.endpoints.tracking.spellings import folding_of
from migrate.endpoints.tracking.stores.logged_models import LoggedModelStore
from migrate.endpoints.tracking.versions import Release, release_of
from migrate.endpoints.tracking.workspaces import Workspaces
from migrate.errors import EndpointError, MigrateError, NoSuchRoute, NotFound, Refused, ServerFault
from migrate.folding import NO_FOLDING, Folding
from migrate.in_turn import in_turn
from migrate.kinds import REGISTRY_KINDS, Kind
from migrate.shares import SharingThreads

#: Without these nothing can be copied.
ESSENTIALS = (EXPERIMENTS, RUNS)
REGISTRY = (REGISTERED_MODELS, MODEL_VERSIONS)
#: Questions at a time: what a server answers hangs on a few only.
AT_ONCE = 8


class Inquiry:
    """Asks a server, and the one that keeps its registered models where that is another one.

    ``workspace`` is the one that every call names (MLflow 3.10 and later), empty for the default.
    """

    def __init__(
        self,
        http: HttpSession,
        registry: HttpSession,
        permissions: ServerPermissions,
        *,
        workspace: str = "",
    ) -> None:
        self._http = http
        self._registry = registry
        self._permissions = permissions
        self._workspace = workspace
        self._side = http.side
        #: What the plan is to say of the server's parts and version.
        self._notes: list[str] = []
        self._not_known: dict[Kind, str] = {}

    def learn(self) -> Learned:
        """Ask all there is to ask. Raises the reason when the server is no use."""
        self._notes, self._not_known = [], {}
        if self._workspace:
            Workspaces(self._http).check(self._workspace, self._side)
        self._check_is_mlflow()
        servers = dict.fromkeys((self._http, self._registry))
        with SharingThreads(AT_ONCE) as pool:
            searches = [pool.submit(ask, self._http, it, UNKNOWN_RELEASE) for it in ESSENTIALS]
            told = [pool.submit(_release_of, it) for it in servers]
            foldings = [pool.submit(self._folding_of, it) for it in servers]
            asked_identity = pool.submit(self._identity)
            available = pool.submit(self._permissions.available)
        _check_essentials(it.result() for it in searches)
        releases = {http: it.result() for http, it in zip(servers, told, strict=True)}
        self._note_releases(releases)
        release, registry_release = releases[self._http], releases[self._registry]
        has_permissions, reason = available.result()
        without = self._missing_kinds(release, registry_release)
        can = capabilities_of(
            release,
            registry_release,
            description=self._description(release),
            identity=asked_identity.result(),
            without=without,
            notes=(*self._permissions.notes(), *self._notes),
        )
        can = dataclasses.replace(
            can,
            permissions=has_permissions,
            without_permissions=reason,
            folding=foldings[0].result(),
            registry_folding=foldings[-1].result(),
        )
        return Learned(can, release, registry_release, self._not_known)

    def _description(self, release: Release) -> str:
        name = f"MLflow {release} at {self._http.base_url}"
        if self._workspace:
            name += f", workspace {self._workspace}"
        if self._registry is not self._http:
            name += f", registered models at {self._registry.base_url}"
        return name

    def _identity(self) -> str:
        default: Object = {}
        try:
            answer = self._http.get(f"{API}/experiments/get", {"experiment_id": "0"})
            default = member(answer, "experiment")
        except MigrateError:
            pass  # no Default experiment, or not ours to see: the address has to do
        created = text(default, "creation_time")
        identity = f"{self._http.base_url}#{created}#{self._workspace}"
        if self._registry is not self._http:
            identity += f"#{self._registry.base_url}"
        return identity

    def _check_is_mlflow(self) -> None:
        """Raise ``EndpointError`` where what answers is no tracking server."""
        path = EXPERIMENTS.path
        try:
            self._http.ask(EXPERIMENTS.method, path, EXPERIMENTS.request, tries=CONNECT_TRIES)
        except (NoSuchRoute, NotFound, Refused) as problem:
            raise EndpointError(
                f"the {self._side} at {self._http.base_url} is not an MLflow tracking server, or "
                f"older than 1.28: {problem}",
                "open the address in a browser: it should show MLflow's own pages",
            ) from None
        except ServerFault:
            pass  # It may be that one experiment cannot be served: what is asked next tells.

    def _folding_of(self, http: HttpSession) -> Folding:
        """Ask a target what its database leaves out of account."""
        return NO_FOLDING if self._side == "source" else folding_of(http)

    def _note_releases(self, releases: Mapping[HttpSession, Release]) -> None:
        for http, release in releases.items():
            if not release.text:
                least = "1.30" if release.below else "{}.{}".format(*release.least)
                self._notes.append(
                    f"{self._side}: {http.base_url} does not tell its version; by what it answers "
                    f"it is MLflow {release}, and the limits of {least} are kept to"
                )
        if self._side == "source" and releases[self._http].reaches(LABEL_SCHEMAS.since):
            self._notes.append(
                "source: where the label schemas of an experiment were never listed, only those "
                "are copied that review queues name, since MLflow writes one when they are listed; "
                "of deleted experiments it shows neither"
            )

    def _missing_kinds(self, release: Release, registry_release: Release) -> dict[Kind, str]:
        """Return the kinds that this server lacks or may lack in spite of its release, and why."""
        calls = [partial(ask, self._http, LOGGED_MODELS, release)]
        calls += [partial(ask, self._registry, part, registry_release) for part in REGISTRY]
        models, *registry = in_turn(AT_ONCE, calls)
        missing = (answer for answer in registry if answer.standing is not Standing.PRESENT)
        return self._missing({LoggedModelStore.kind}, models) | self._missing(
            REGISTRY_KINDS, next(missing, Answer(Standing.PRESENT))
        )

    def _missing(self, kinds: Collection[Kind], answer: Answer) -> dict[Kind, str]:
        """Note what an answer says of kinds, unless they are there or the release says it all."""
        if not answer.reason:
            return {}
        noun = "a model registry" if REGISTRY_KINDS.issuperset(kinds) else "logged models"
        if answer.standing is Standing.ABSENT:
            text = f"the {self._side} does not have {noun}: {answer.reason}"
            self._notes.append(text)
        else:
            text = f"whether the {self._side} has {noun} is not known: {answer.reason}"
            self._not_known |= dict.fromkeys(kinds, text)
        return dict.fromkeys(kinds, text)


def _release_of(http: HttpSession) -> Release:
    """Return the release that a server tells, or that follows from what it answers."""
    try:
        told = release_of(http.text("/version", tries=CONNECT_TRIES).strip())
    except MigrateError:
        told = None
    return infer_release(http) if told is None else told


def _check_essentials(answers: Iterable[Answer]) -> None:
    """Raise ``EndpointError`` where experiments and runs cannot be searched."""
    for answer in answers:
        if answer.standing is not Standing.PRESENT:
            raise EndpointError(
                f"nothing can be copied where experiments or runs cannot be searched: "
                f"{answer.reason}",
                "have the gateway before the server pass all of MLflow's routes on, and use "
                "an account that may see them",
            )
