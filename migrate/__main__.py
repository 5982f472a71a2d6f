"""Lets ``python -m migrate`` stand for the ``migrate`` command."""

from __future__ import annotations

from migrate.cli import main

if __name__ == "__main__":
    main()
