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

from server.store.postgres.connection import conninfo_of

_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK = 0x6E6F6465_6D696772
"""The advisory lock of those that migrate."""


def migrate(url: str, target: str = "head") -> None:
    """Create the tables, or bring older ones up to date; others that start meanwhile wait.

    Args:
        url: the database.
        target: the version to stop at.

    Raises:
        psycopg.Error: Postgres refuses.
    """
    link = psycopg.connect(conninfo_of(url))
    engine = create_engine("postgresql+psycopg://", creator=lambda: link, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            _upgrade(connection, target)
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        link.close()


def _upgrade(connection: Connection, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("version_locations", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    scripts = ScriptDirectory.from_config(config)
    context = MigrationContext.configure(connection)
    current = context.get_current_revision()  # another server may have been faster
    missing = list(scripts.iterate_revisions(target, current or "base"))
    for revision in reversed(missing):
        with Operations.context(context):
            revision.module.upgrade()
        context.stamp(scripts, revision.revision)
