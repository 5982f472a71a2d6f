"""The six commands under their own names, as people's scripts call them."""

from __future__ import annotations

from migrate.cli.app import main


def export_all() -> None:
    """Run ``export-all``."""
    main("export-all")


def export_models() -> None:
    """Run ``export-models``."""
    main("export-models")


def export_experiments() -> None:
    """Run ``export-experiments``."""
    main("export-experiments")


def import_all() -> None:
    """Run ``import-all``."""
    main("import-all")


def import_models() -> None:
    """Run ``import-models``."""
    main("import-models")


def import_experiments() -> None:
    """Run ``import-experiments``."""
    main("import-experiments")
