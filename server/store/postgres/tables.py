"""Runs the statements that make tables in SQLite in Postgres, too."""

import re

from alembic import op

_TYPES = ((r"\bINTEGER\b", "BIGINT"), (r"\bREAL\b", "DOUBLE PRECISION"), (r"\bSTRICT\b", ""))
"""SQLite's names that mean something else to Postgres, or nothing."""


def run_steps(script: str) -> None:
    """Run statements inside of a migration; `INTEGER` has 64 bits, as in SQLite.

    Args:
        script: statements, each with a semicolon at its end and none inside.
    """
    for statement in script.split(";"):
        translated = statement
        for pattern, meaning in _TYPES:
            translated = re.sub(pattern, meaning, translated)
        if translated.strip():
            op.execute(translated)
