"""What a tracking server learns of its own parts when it connects, and says of them later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from migrate.endpoints.answers import Capabilities
from migrate.endpoints.tracking.http.session import CONNECT_TRIES, HttpSession
from migrate.endpoints.tracking.parts import (
    EXPERIMENTS,
    LABEL_SCHEMAS_SINCE,
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
from migrate.endpoints.tracking.versions import Release, release_of
from migrate.errors import EndpointError, MigrateError, NotFound, Refused, ServerFault
from migrate.objects import REGISTRY_KINDS, Kind


class PartCalls(ABC):
    """Which kinds a server has, which it lacks, and which it may have without our seeing them.

    Both servers, where registered models are on another one, are asked for their own parts.
    """

    _http: HttpSession
    _registry_http: HttpSession
    _side: str
    _address: str
    #: What could not be learned, in sentences as keys: in the order in which they were said.
    _unknown: dict[str, None]
    #: Kinds of which it is not known whether the server has them, with such a sentence.
    _not_known: dict[Kind, str]
    #: What the plan is to say of the server's parts and version.
    _part_notes: list[str]
    _release = UNKNOWN_RELEASE
    _registry_release = UNKNOWN_RELEASE

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """See ``Endpoint.capabilities``."""

    def _has(self, kind: Kind) -> bool:
        """Say whether this server has a kind; where that is not known, ``unknown`` tells so."""
        if kind in self.capabilities().readable:
            return True
        if kind in self._not_known:
            self._unknown.setdefault(self._not_known[kind])
        return False

    def _check_essentials(self) -> None:
        """Raise ``EndpointError`` where experiments and runs cannot be searched."""
        path = EXPERIMENTS.path
        try:
            self._http.ask(EXPERIMENTS.method, path, EXPERIMENTS.request, tries=CONNECT_TRIES)
        except (NotFound, Refused) as problem:
            raise EndpointError(
                f"the {self._side} at {self._address} is not an MLflow tracking server, or "
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

    def _learn_releases(self) -> None:
        self._release = self._registry_release = self._release_of(self._http)
        if self._registry_http is not self._http:
            self._registry_release = self._release_of(self._registry_http)
        if self._side == "source" and self._release.reaches(LABEL_SCHEMAS_SINCE):
            self._part_notes.append(
                "source: label schemas are neither copied nor counted, since MLflow writes one "
                "when they are read, nor are review queues of deleted experiments, of which it "
                "lists none"
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
        self._part_notes.append(
            f"{self._side}: {http.base_url} does not tell its version; by what it answers it is "
            f"MLflow {release}, and the limits of {least} are kept to"
        )
        return release

    def _missing_kinds(self) -> dict[Kind, str]:
        """Return the kinds that this server lacks or may lack in spite of its release, and why."""
        models = ask(self._http, LOGGED_MODELS, self._release)
        return self._missing({Kind.LOGGED_MODEL}, models) | self._missing(
            REGISTRY_KINDS, self._ask_registry(REGISTERED_MODELS, MODEL_VERSIONS)
        )

    def _ask_registry(self, *parts: Part) -> Answer:
        """Ask for all of these; return the first answer that is no presence."""
        answers = (ask(self._registry_http, part, self._registry_release) for part in parts)
        missing = (answer for answer in answers if answer.standing is not Standing.PRESENT)
        return next(missing, Answer(Standing.PRESENT))

    def _missing(self, kinds: Collection[Kind], answer: Answer) -> dict[Kind, str]:
        """Note what an answer says of kinds, unless they are there or the release says it all."""
        if not answer.reason:
            return {}
        noun = "a model registry" if REGISTRY_KINDS.issuperset(kinds) else "logged models"
        if answer.standing is Standing.ABSENT:
            text = f"the {self._side} does not have {noun}: {answer.reason}"
            self._part_notes.append(text)
        else:
            text = f"whether the {self._side} has {noun} is not known: {answer.reason}"
            self._not_known |= dict.fromkeys(kinds, text)
        return dict.fromkeys(kinds, text)
