"""What reads the parts of one export directory."""

from __future__ import annotations

from operator import attrgetter

from migrate.endpoints.directory.indexes.listed import listed_logged_models, listed_runs
from migrate.endpoints.directory.layout import LOGGED_MODELS, RUNS
from migrate.endpoints.directory.native.losses import Shortfall
from migrate.endpoints.directory.native.sidecar import read_sidecar, whole_sidecar
from migrate.endpoints.directory.places import Opened
from migrate.endpoints.directory.stores.experiments import ExperimentRecords
from migrate.endpoints.directory.stores.listing import Listing, Member
from migrate.endpoints.directory.stores.logged_models import LoggedModelStore
from migrate.endpoints.directory.stores.registry import RegistryReader
from migrate.endpoints.directory.stores.runs import RunStore
from migrate.endpoints.directory.stores.scanning import logged_model_directories, run_directories
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.objects import Kind


class Readers:
    """The readers of an export directory that was opened; they share what they report to.

    Where it is ``writable``, a damaged sidecar is as good as none: the next export writes it anew.
    """

    def __init__(
        self,
        opened: Opened,
        unreadable: UnreadableObjects,
        lacks: Shortfall,
        *,
        writable: bool,
    ) -> None:
        foreign = not opened.identity  # ours have their ids for names
        sidecar = whole_sidecar if writable else read_sidecar
        self.experiments = ExperimentRecords(opened, writable=writable)
        self.runs = RunStore(opened.base, renamed=foreign, sidecar=sidecar)
        self.models = LoggedModelStore(opened.base, renamed=foreign, sidecar=sidecar)
        self.registry = RegistryReader(opened.registry, unreadable, lacks, nested=foreign)
        self.run_listing = Listing(
            opened.base,
            Member(
                kind=Kind.RUN,
                folder=RUNS,
                directories=run_directories,
                read=self.runs.read,
                id_of=attrgetter("run_id"),
                listed=listed_runs,
            ),
            unreadable,
        )
        self.model_listing = Listing(
            opened.base,
            Member(
                kind=Kind.LOGGED_MODEL,
                folder=LOGGED_MODELS,
                directories=logged_model_directories,
                read=self.models.read,
                id_of=attrgetter("model_id"),
                listed=listed_logged_models,
            ),
            unreadable,
        )
