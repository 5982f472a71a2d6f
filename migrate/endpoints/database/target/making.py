"""Makes MLflow's tables in an empty database, by MLflow's own migrations, in a process of its own.

MLflow takes a second and 170 MB, and is needed for this only. The process loads it without what its
migrations do not use. It ends when the one that started it ends, but where a part would stay.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from migrate.errors import EndpointError
from migrate.redaction import cut

#: What MLflow and Alembic say of every step, which is for who upgrades a database.
_TALKERS = ("mlflow.store.db.utils", "alembic")
#: What MLflow loads where it is there, and does without as `mlflow-skinny`.
_UNNEEDED = ("numpy", "pandas", "pyarrow")
#: What a process does that is to make tables: it finds modules where this one does.
_PROGRAM = f"""
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from {__name__} import make_for_another
make_for_another()
"""
#: The lock of MySQL that is held while tables are made, and how many seconds it is waited for.
MAKING = "CONCAT('mlflow-migrate ', MD5(DATABASE()))"
_PATIENCE = 60
#: Of a file that gets its name once it is whole.
_UNSAFE_AND_FAST = ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY")


def make_tables(place: Path | str) -> None:
    """Make MLflow's tables in an empty database: a file of SQLite, or at the URI of a server.

    Raises what the driver raises, and ``EndpointError`` where MLflow cannot be loaded.
    """
    if "mlflow.store.db.utils" in sys.modules:
        make_here(place)
        return
    # The arguments of a process are there for all to read, so a password goes another way.
    with TemporaryFile() as said, _process(said) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(pickle.dumps(sys.path) + pickle.dumps(place))
                process.stdin.flush()
            answer = process.stdout.read()
        finally:
            if not _stays_by_half(place):
                process.kill()
        if not answer:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise _unmade(last or "the process that did was ended")
        problem = pickle.loads(answer)  # noqa: S301 - of a process of our own
    if problem is not None:
        raise problem


def _process(said: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-c", _PROGRAM]
    return subprocess.Popen(  # noqa: S603 - this Python, and a program of our own
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said
    )


def make_for_another() -> None:
    """Make tables where standard input says, answer on standard output, and end this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the other to decide
    place = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the process that started this one
    if not _stays_by_half(place):
        threading.Thread(target=_end_with_the_other, daemon=True).start()
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    gc.disable()  # there is little to collect, and a fifth of the time to save
    sys.modules.update(dict.fromkeys(_UNNEEDED))  # type: ignore[arg-type]
    problem: Exception | None = None
    try:
        make_here(place)
    except ImportError as raised:
        problem = _unmade(str(raised))
    except Exception as raised:
        problem = raised
    answers.write(_pickled(problem))
    answers.flush()
    os._exit(0)


def _unmade(why: str) -> EndpointError:
    return EndpointError(
        f"MLflow's tables cannot be made: {cut(why, 300)}",
        "does `mlflow db upgrade` work on an empty database?",
    )


def _stays_by_half(place: Path | str) -> bool:
    """Say whether what is begun has to be ended: MySQL takes nothing back."""
    return str(place).startswith(("mysql", "mariadb"))


def wait_for_tables(connection: Any) -> None:
    """Wait until another process, which goes on when its own is killed, has made all tables."""
    connection.exec_driver_sql(f"SELECT GET_LOCK({MAKING}, {_PATIENCE})")
    connection.exec_driver_sql(f"SELECT RELEASE_LOCK({MAKING})")


def _end_with_the_other() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _pickled(problem: Exception | None) -> bytes:
    try:
        content = pickle.dumps(problem)
        pickle.loads(content)  # noqa: S301 - some errors of drivers cannot be made anew
    except Exception:
        return pickle.dumps(RuntimeError(str(problem)))
    return content


def make_here(place: Path | str) -> None:
    """Do that in this process. Raises likewise."""
    from migrate.endpoints.database.opening import engine_of

    engine = _engine_of_file(place) if isinstance(place, Path) else engine_of(place, writes=True)
    whole = _WHOLE.get(engine.dialect.name, nullcontext)
    with quiet(), whole(engine) as used:
        from mlflow.store.db.utils import _initialize_tables

        _initialize_tables(used)
    engine.dispose()


@contextmanager
def _in_one_transaction(engine: Any) -> Iterator[Any]:
    """Have all that is done with what this gives out be there when the block ends, or nothing.

    MLflow makes its first tables in a transaction, and has them upgraded in another one.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    with closing(engine.raw_connection()) as held:
        driver = held.driver_connection
        shared: Any = create_engine(engine.url, creator=lambda: driver, poolclass=StaticPool)
        shared.dialect.do_commit = shared.dialect.do_rollback = lambda connection: None
        yield shared
        driver.commit()


def _engine_of_file(path: Path) -> Any:
    from sqlalchemy import URL, create_engine, event
    from sqlalchemy.pool import NullPool

    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def hurry(connection: Any, _: Any) -> None:
        for statement in _UNSAFE_AND_FAST:
            connection.execute(statement)

    return engine


@contextmanager
def _alone(engine: Any) -> Iterator[Any]:
    """Have others wait till the block ends: MySQL makes each table by itself."""
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT GET_LOCK({MAKING}, {_PATIENCE})")
        yield engine


#: How nobody sees a part of the tables, by what SQLAlchemy calls a database.
_WHOLE = {"postgresql": _in_one_transaction, "mysql": _alone}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what MLflow, Alembic and SQLAlchemy say meanwhile."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
