"""Everything that can go wrong, and the exit code each ends the command with.

::

    MigrateError                 1   says what, where and what to do next
    ├── UsageError               2   a bad option, name, date, URI or file given by the user
    ├── StateError               1   the state database cannot be used
    │   ├── NewerState           1   ... it was written by a newer version
    │   └── StateInUse           4   ... another process holds it
    ├── StalePlan                4   the plan no longer fits its source, target or options
    ├── EndpointError            1   a call on the source or target failed for good
    │   ├── NotAuthenticated     1   wrong or missing credentials
    │   ├── NotPermitted         1   the credentials do not reach this object
    │   ├── NotFound             1   the object is not there (any more)
    │   ├── NoSuchRoute          1   the server, or a gateway, has no such route: nothing is known
    │   ├── AlreadyExists        1   the name is taken
    │   ├── Refused              1   the server does not take what was sent
    │   │   └── NotCompleted     1   ... to complete an object that it has made
    │   ├── TargetInUse          4   another process writes there
    │   ├── TargetLags           1   what was written there is shown later
    │   │   └── NotShown         1   ... or is not shown at all
    │   ├── Malformed            1   an answer or a file is not of the shape it has to have
    │   ├── DirectoryError       1   the export directory is unreadable, half-written or newer
    │   │   └── WrongDirectory   2   ... or it is none: something else is there, or nothing
    │   └── StorageFull          1   no space left where the target writes
    └── Unavailable              1   worth another try: no answer, 429, 5xx
        ├── ServerFault          1   ... the server failed at this request (500)
        └── AnswerLost           1   ... and the write may have been carried out

A task that ends in an ``Unavailable`` is tried again by the scheduler; every other error is
permanent in this run, and ``migrate run --resume`` tries the task again.
"""

from __future__ import annotations

from migrate.redaction import redacted

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
EXIT_STALE = 4
EXIT_INTERRUPTED = 130


class MigrateError(Exception):
    """Root of all errors of this package: ``message`` says what is wrong, ``hint`` what to do."""

    exit_code = EXIT_ERROR

    def __init__(self, message: str, hint: str = "") -> None:
        # Here, so that no error holds a secret, wherever it is stored, shown or sent to.
        self.message = redacted(message)
        self.hint = redacted(hint)
        super().__init__(self.message, self.hint)

    def __str__(self) -> str:
        return self.message


class UsageError(MigrateError):
    """A bad option, name, date, URI or file given by the user; nothing was written."""

    exit_code = EXIT_USAGE


class StateError(MigrateError):
    """The state database cannot be read or written."""


class NewerState(StateError):
    """The state database was written by a newer version of this tool."""


class StateInUse(StateError):
    """Another process is working with this state database."""

    exit_code = EXIT_STALE


class StalePlan(MigrateError):
    """The stored plan was made for another source, target or selection."""

    exit_code = EXIT_STALE


class EndpointError(MigrateError):
    """A call on the source or target failed, and would fail again."""


class NotAuthenticated(EndpointError):
    """The endpoint does not accept the credentials."""


class NotPermitted(EndpointError):
    """The credentials are accepted, but do not reach this object."""


class NotFound(EndpointError):
    """The object is not there: its server says so, in MLflow's words."""


class NoSuchRoute(EndpointError):
    """The server, or a gateway before it, has no such route. What it leads to may be there."""


class AlreadyExists(EndpointError):
    """The name is taken at the target."""


class Refused(EndpointError):
    """The server does not take what was sent (an HTTP 4xx without a more special meaning).

    ``code`` is MLflow's error code, empty where the answer has none.
    """

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class NotCompleted(Refused):
    """The server has made an object and does not take what completes it: it is there by half."""


class TargetInUse(EndpointError):
    """Another process writes into this target."""

    exit_code = EXIT_STALE


class TargetLags(EndpointError):
    """A target shows later what was written to it: what it showed before is not all there is."""


class NotShown(TargetLags):
    """A target has not shown what was written to it, as long as somebody waited for it."""


class Malformed(EndpointError):
    """An answer, or what a file holds, is not of the shape it has to have."""

    def within(self, where: str) -> Malformed:
        """Return the same error with what it is about in front."""
        return Malformed(f"{where}: {self.message}", self.hint)


class DirectoryError(EndpointError):
    """The export directory, or a file in it, is unreadable, half-written or of a newer format."""


class ChangedContent(DirectoryError):
    """A file of an export has not the content that it was written with."""


class WrongDirectory(DirectoryError):
    """The user named a directory that is no export, or holds something else."""

    exit_code = EXIT_USAGE


class StorageFull(EndpointError):
    """No space is left where the target writes."""


class Unavailable(MigrateError):
    """No usable answer now: worth another try after ``retry_after`` seconds (None: back off)."""

    def __init__(self, message: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class ServerFault(Unavailable):
    """The server failed at this request (500): for now, or whenever it is sent."""


class AnswerLost(Unavailable):
    """A create call got no usable answer, so the object may exist: look before trying again."""
