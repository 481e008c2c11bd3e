"""Brings the tables in Postgres up to date by Alembic, in one transaction."""

from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from server.errors import NewerStoreError
from server.store.postgres.connection import address_of, conninfo_of
from server.store.schema import VERSION

_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 0x6E6F6465_6D696772
"""The advisory lock of those that migrate."""


def migrate(url: str, target: str = "head") -> None:
    """Create the tables, or bring older ones up to date; others that start meanwhile wait.

    Args:
        url: the database.
        target: the version to stop at.

    Raises:
        NewerStoreError: a later version wrote the database.
        psycopg.Error: Postgres refuses.
    """
    link = psycopg.connect(conninfo_of(url))
    engine = create_engine("postgresql+psycopg://", creator=lambda: link, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            _upgrade(connection, url, target)
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        link.close()


def _upgrade(connection: Connection, url: str, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("version_locations", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    scripts = ScriptDirectory.from_config(config)
    context = MigrationContext.configure(connection)
    current = context.get_current_revision()
    if current is not None and int(current) > VERSION:
        raise NewerStoreError(address_of(url), int(current), VERSION)
    missing = list(scripts.iterate_revisions(target, current or "base"))
    for revision in reversed(missing):
        with Operations.context(context):
            revision.module.upgrade()
        context.stamp(scripts, revision.revision)
