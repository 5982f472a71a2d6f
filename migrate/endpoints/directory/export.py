"""What the stores of one export directory share: how it was opened, and who may write there."""

from __future__ import annotations

from pathlib import Path
from threading import Lock, RLock

from migrate.endpoints.directory.indexes.durations import Durations
from migrate.endpoints.directory.layout import EXPERIMENTS_FILE
from migrate.endpoints.directory.locking import ExportLock, state_of
from migrate.endpoints.directory.native.losses import NOTHING_LACKS, Shortfall, read_shortfall
from migrate.endpoints.directory.opening import open_export, open_target, unmake
from migrate.endpoints.directory.places import Opened
from migrate.endpoints.unreadable import UnreadableObjects
from migrate.errors import DirectoryError, Refused


class Export:
    """An export directory, which is opened when it is first needed; several threads may use it.

    Where ``writable``, opening makes the directory if it is missing, in the layout of exports of
    models where it ``holds_models``. Of a target damaged files are not listed, so that they are
    sent again, and missed by who compares. All that opens it may raise ``DirectoryError``.
    """

    def __init__(
        self, path: Path, *, writable: bool, is_target: bool = False, holds_models: bool = False
    ) -> None:
        self.path = path
        self.writable = writable
        self.is_target = writable or is_target
        #: Held by whoever changes what is not one object's alone.
        self.lock = RLock()
        self.unreadable = UnreadableObjects()
        self.durations = Durations()
        #: What cannot be said of it: sentences in the order they were first said, as keys.
        self.unknown: dict[str, None] = {}
        #: The bytes of files that have arrived.
        self.arrived = 0
        self._holds_models = holds_models
        self._opened: Opened | None = None
        self._lacks = NOTHING_LACKS
        self._folds_case: bool | None = None
        self._arrived_lock = Lock()

    def open(self) -> Opened:
        """Return how it was found."""
        if self._opened is None:
            with self.lock:
                if self._opened is None:
                    opened = self._connect()
                    self.unknown |= dict.fromkeys(opened.unknown)
                    self._lacks = self._read_shortfall(opened.base)
                    self._opened = opened
                return self._opened
        return self._opened

    @property
    def base(self) -> Path:
        """The directory of the experiments."""
        return self.open().base

    @property
    def top(self) -> Path:
        """The directory of all that no experiment holds."""
        return self.open().registry.base

    @property
    def is_foreign(self) -> bool:
        """True where another tool wrote it: only ours have names that tell what is in them."""
        return not self.open().identity

    @property
    def lacks(self) -> Shortfall:
        """What it says it lacks as a whole."""
        self.open()
        return self._lacks

    @property
    def folds_case(self) -> bool:
        """True where the file system takes names that differ only by case for the same."""
        if self._folds_case is None:
            self._folds_case = (self.base / EXPERIMENTS_FILE.upper()).exists()
        return self._folds_case

    def require_writable(self) -> None:
        """Raise ``Refused`` where nothing may be written."""
        if not self.writable:
            raise Refused(f"{self.path} was opened for reading only")

    def look_for_writer(self) -> None:
        """Note that somebody writes here, when it is read and when all of it has been read."""
        state = state_of(self.path)
        if state:
            self.unknown[state] = None

    def count_arrived(self, size: int) -> None:
        """Count bytes of a file that have arrived."""
        with self._arrived_lock:
            self.arrived += size

    def unmake(self, lock: ExportLock) -> None:
        """Remove what opening it made; nothing once something else was written there."""
        with self.lock:
            if self._opened is not None:
                unmake(self._opened, lock)
                self._opened = None

    def _connect(self) -> Opened:
        if self.writable:
            return open_target(self.path, holds_models=self._holds_models)
        opened = open_export(self.path)
        self.look_for_writer()
        return opened

    def _read_shortfall(self, base: Path) -> Shortfall:
        try:
            lacks = read_shortfall(base)
        except DirectoryError as problem:
            self.unknown[f"{problem}: what the export lacks is not known"] = None
            return NOTHING_LACKS
        for text in lacks.unknown:
            self.unknown[f"when {self.path} was exported: {text}"] = None
        return lacks
