"""What a tracking server is asked when it connects: its version, its parts, whom it knows us as."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

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
    Part,
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
from migrate.kinds import REGISTRY_KINDS, Kind


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
        self._check_essentials()
        release = registry_release = self._release_of(self._http)
        if self._registry is not self._http:
            registry_release = self._release_of(self._registry)
        self._note_label_schemas(release)
        identity = self._identity()
        has_permissions, reason = self._permissions.available()
        without = self._missing_kinds(release, registry_release)
        can = capabilities_of(
            release,
            registry_release,
            description=self._description(release),
            identity=identity,
            without=without,
            notes=(*self._permissions.notes(), *self._notes),
        )
        can = dataclasses.replace(can, permissions=has_permissions, without_permissions=reason)
        if self._side != "source":
            folding = registry_folding = folding_of(self._http)
            if self._registry is not self._http:
                registry_folding = folding_of(self._registry)
            can = dataclasses.replace(can, folding=folding, registry_folding=registry_folding)
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

    def _check_essentials(self) -> None:
        """Raise ``EndpointError`` where experiments and runs cannot be searched."""
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
        for part in (EXPERIMENTS, RUNS):
            answer = ask(self._http, part, UNKNOWN_RELEASE)
            if answer.standing is not Standing.PRESENT:
                raise EndpointError(
                    f"nothing can be copied where experiments or runs cannot be searched: "
                    f"{answer.reason}",
                    "have the gateway before the server pass all of MLflow's routes on, and use "
                    "an account that may see them",
                )

    def _release_of(self, http: HttpSession) -> Release:
        """Return the release that a server tells, or that follows from what it answers."""
        try:
            told = release_of(http.text("/version", tries=CONNECT_TRIES).strip())
        except MigrateError:
            told = None
        if told is not None:
            return told
        release = infer_release(http)
        least = "1.30" if release.below else "{}.{}".format(*release.least)
        self._notes.append(
            f"{self._side}: {http.base_url} does not tell its version; by what it answers it is "
            f"MLflow {release}, and the limits of {least} are kept to"
        )
        return release

    def _note_label_schemas(self, release: Release) -> None:
        if self._side == "source" and release.reaches(LABEL_SCHEMAS.since):
            self._notes.append(
                "source: where the label schemas of an experiment were never listed, only those "
                "are copied that review queues name, since MLflow writes one when they are listed; "
                "of deleted experiments it shows neither"
            )

    def _missing_kinds(self, release: Release, registry_release: Release) -> dict[Kind, str]:
        """Return the kinds that this server lacks or may lack in spite of its release, and why."""
        models = ask(self._http, LOGGED_MODELS, release)
        return self._missing({LoggedModelStore.kind}, models) | self._missing(
            REGISTRY_KINDS, self._ask_registry(registry_release, REGISTERED_MODELS, MODEL_VERSIONS)
        )

    def _ask_registry(self, release: Release, *parts: Part) -> Answer:
        """Ask for all of these; return the first answer that is no presence."""
        answers = (ask(self._registry, part, release) for part in parts)
        missing = (answer for answer in answers if answer.standing is not Standing.PRESENT)
        return next(missing, Answer(Standing.PRESENT))

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
