"""Columns for several server processes: the same step as SQLite's."""

from server.store.postgres.tables import run_steps
from server.store.schema import FLEET

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Add the columns and the table."""
    run_steps(FLEET)
