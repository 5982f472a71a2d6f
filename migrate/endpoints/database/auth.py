"""The database of MLflow's basic-auth app, which is another one than that of its server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from migrate.endpoints.database.reading import Database
from migrate.errors import UsageError
from migrate.kinds import Kind

#: By which its tables are told, and without which nothing can be read.
ESSENTIAL: Mapping[str, Sequence[str]] = {"users": ("id", "username", "password_hash", "is_admin")}
#: Why a server's own database has no permissions.
NO_PERMISSIONS = (
    "who may do what is in another database, that of MLflow's basic-auth app: name it with "
    "--{side}-auth-database"
)
_HINT = "it is what `database_uri` names in the server's MLFLOW_AUTH_CONFIG_PATH (basic_auth.db)"


class AuthDatabase(Database):
    """Users and roles, to be read."""

    _essential = ESSENTIAL

    def _recognized(self, connection: Connection) -> str:
        return require_users(self._tables, self.shown)


def require_users(tables: frozenset[str], shown: str) -> str:
    """Raise ``UsageError`` for a database without users; there is no revision to be told."""
    if not ESSENTIAL.keys() <= tables:
        raise UsageError(f"{shown} has no users of MLflow's basic-auth app", _HINT)
    return ""


def why_without(kinds: Iterable[Kind], side: str, *, is_named: bool) -> Mapping[Kind, str]:
    """Say why there are none of these kinds; ``is_named``: the database of the app is given."""
    app = "the database of MLflow's basic-auth app"
    why = f"{app} has none" if is_named else f"name {app} with --{side}-auth-database"
    return dict.fromkeys(kinds, why)
