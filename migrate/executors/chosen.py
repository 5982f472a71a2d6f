"""Which executor the user chose."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import NamedTuple

from migrate.errors import UsageError


class ExecutorName(StrEnum):
    """An executor, as the option ``--executor`` names it."""

    SERIAL = "serial"
    THREADS = "threads"
    PROCESSES = "processes"
    DASK = "dask"


class Chosen(NamedTuple):
    """An executor with its own settings: the number of processes, or a scheduler's address."""

    name: ExecutorName = ExecutorName.THREADS
    processes: int = 0
    address: str = ""

    @classmethod
    def of(cls, name: ExecutorName | None, processes: int | None, address: str) -> Chosen:
        """Return what options say together. Raises ``UsageError`` where they contradict."""
        implied = {ExecutorName.PROCESSES: processes is not None, ExecutorName.DASK: bool(address)}
        options = {ExecutorName.PROCESSES: "--processes", ExecutorName.DASK: "--dask"}
        named = [it for it, is_said in implied.items() if is_said]
        for other in named:
            if name not in (None, other) or len(named) > 1:
                raise UsageError(
                    f"{options[other]} goes with --executor {other.value} alone",
                    "leave out one of the two",
                )
        name = name or next(iter(named), ExecutorName.THREADS)
        if name is ExecutorName.DASK and not address:
            raise UsageError(
                "--executor dask needs the address of a scheduler",
                "give --dask tcp://host:8786; `dask scheduler` prints it",
            )
        return cls(name, processes or os.cpu_count() or 1, address)

    @property
    def is_serial(self) -> bool:
        """True where one task follows the other."""
        return self.name is ExecutorName.SERIAL

    @property
    def is_distant(self) -> bool:
        """True where other processes carry out the batches."""
        return self.name in (ExecutorName.PROCESSES, ExecutorName.DASK)
