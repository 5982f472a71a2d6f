"""Asks a server which spellings of a name its database takes for the name."""

from __future__ import annotations

from migrate.endpoints.shapes import member, objects, text
from migrate.endpoints.tracking.http.session import HttpSession
from migrate.endpoints.tracking.parts import API, ONE
from migrate.errors import MigrateError
from migrate.folding import NO_FOLDING, Folding, spelled_otherwise


def folding_of(http: HttpSession) -> Folding:
    """Say what the database behind a server leaves out of account, by the name of an experiment.

    Nothing where the server has none to ask by, or refuses: that is all there is to conclude from.
    """
    try:
        found = http.ask("POST", f"{API}/experiments/search", {**ONE, "view_type": "ALL"})
        name = next((text(item, "name") for item in objects(found, "experiments")), "")
    except MigrateError:
        name = ""
    if not name:
        return NO_FOLDING
    asked = spelled_otherwise(name)
    return Folding(**{way: _is_found_by(http, name, other) for way, other in asked.items()})


def _is_found_by(http: HttpSession, name: str, spelling: str) -> bool:
    try:
        answer = http.get(f"{API}/experiments/get-by-name", {"experiment_name": spelling})
    except MigrateError:
        return False
    return text(member(answer, "experiment"), "name") == name
