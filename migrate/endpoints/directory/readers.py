"""What reads the parts of one export directory."""

from __future__ import annotations

from operator import attrgetter

from migrate.endpoints.directory.layout import LOGGED_MODELS, RUNS
from migrate.endpoints.directory.listing import Listing, Member
from migrate.endpoints.directory.logged_models import LoggedModelStore
from migrate.endpoints.directory.opening import Opened
from migrate.endpoints.directory.registry import RegistryReader
from migrate.endpoints.directory.run_store import RunStore
from migrate.endpoints.directory.scanning import (
    listed_logged_models,
    listed_runs,
    logged_model_directories,
    run_directories,
)
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.objects import Kind


class Readers:
    """The readers of an export directory that was opened; they share what they report to."""

    def __init__(self, opened: Opened, unreadable: UnreadableObjects) -> None:
        foreign = not opened.identity  # ours have their ids for names
        self.runs = RunStore(opened.base, renamed=foreign)
        self.models = LoggedModelStore(opened.base, renamed=foreign)
        self.registry = RegistryReader(opened.registry, unreadable, nested=foreign)
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
