"""Says in one line what keeps a server from its Postgres database, and what to do."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg.rows import DictRow

from nodegraph.errors import SettingsError
from server.errors import NewerStoreError
from server.store.postgres.connection import reason_of
from server.store.schema import VERSION

_log = logging.getLogger(__name__)

_OLDEST = 13
"""The oldest version of Postgres that has all the functions that we use."""
_HINTS = (
    ("password", "The password comes from the URL, from PGPASSWORD or from ~/.pgpass."),
    ('database "', "Create it, for example with `createdb`, or name another one."),
    ('role "', "Create the user, for example with `createuser`, or name another one."),
    ("pg_hba.conf", "Have Postgres let this machine in: its pg_hba.conf says who may connect."),
    ("permission denied", "Let the user create tables: GRANT CREATE ON SCHEMA public TO …"),
    ("", "Check that Postgres runs at this address and that this machine can reach it."),
)
"""Words of an error, and what to do: the first that fits."""


@contextmanager
def explaining(address: str) -> Generator[None]:
    """Turn errors of Postgres into one line for the person that starts the server.

    Args:
        address: the database, without its password.

    Raises:
        SettingsError: Postgres cannot be reached, does not let us in, or is too old.
    """
    try:
        yield
    except psycopg.Error as error:
        reason = reason_of(error)
        hint = next(hint for words, hint in _HINTS if words in reason)
        message = f"the database {address} cannot be used: {reason}."
        raise SettingsError(message, hint=hint) from error


def version_of(connection: "psycopg.Connection[DictRow]", address: str) -> int:
    """Return the version of the tables; 0 if there are none.

    Raises:
        NewerStoreError: a later version of nodegraph wrote them.
    """
    row = connection.execute("SELECT to_regclass('alembic_version') AS found").fetchone()
    if row is None or row["found"] is None:
        return 0
    row = connection.execute("SELECT max(CAST(version_num AS int)) AS v FROM alembic_version")
    version = (row.fetchone() or {"v": 0})["v"] or 0
    if version > VERSION:
        raise NewerStoreError(address, version, VERSION)
    return version


def check_server(connection: "psycopg.Connection[DictRow]") -> None:
    """Check the version, and warn of settings that lose what was accepted.

    Raises:
        SettingsError: Postgres is too old.
    """
    version = connection.info.server_version // 10_000
    if version < _OLDEST:
        message = f"server.database is Postgres {version}, which is too old."
        raise SettingsError(message, hint=f"Version {_OLDEST} or a later one will do.")
    for name in ("synchronous_commit", "fsync"):
        row = connection.execute("SELECT current_setting(%s) AS value", (name,)).fetchone()
        if row and row["value"] == "off":
            _log.warning("Postgres has %s off: a power cut there can lose runs", name)
