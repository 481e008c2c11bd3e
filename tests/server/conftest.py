"""One server that all tests of a process share; those that hurt theirs start one of their own."""

import pytest

from tests.server import postgres
from tests.server.serving import install_toys, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with the built-in pack and the toys, ready."""
    home = tmp_path_factory.mktemp("server")
    install_toys(home)
    with serving(home) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a store is: a SQLite file, then an empty database in Postgres."""
    if request.param == "sqlite":
        return tmp_path / "queue.sqlite"
    return postgres.needed().create_with_tables()


@pytest.fixture
def sqlite_only():
    """Skips the test on Postgres."""
    if postgres.is_chosen():
        pytest.skip("this is about the file of SQLite")
