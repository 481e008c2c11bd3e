"""A database in Postgres for each test of a fleet."""

import pytest

from tests.server import postgres


@pytest.fixture
def database():
    """The URL of an empty database; the test is skipped where there is no Postgres."""
    return postgres.needed().create_with_tables()
