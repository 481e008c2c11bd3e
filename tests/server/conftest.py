"""One server that all tests of a process share; those that hurt theirs start one of their own."""

import pytest

from tests.server.serving import install_toys, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with the built-in pack and the toys, ready."""
    home = tmp_path_factory.mktemp("server")
    install_toys(home)
    with serving(home) as running:
        yield running
