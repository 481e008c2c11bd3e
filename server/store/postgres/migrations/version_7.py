"""Columns for traces, and for the time when a run began to wait: the same step as SQLite's."""

from server.store.postgres.tables import run_steps
from server.store.schema import TRACES

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Add the columns."""
    run_steps(TRACES)
