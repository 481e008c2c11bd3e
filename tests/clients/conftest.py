"""Servers for the client libraries: their queues and folders are theirs alone."""

import pytest

from tests.server.serving import serving


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with the built-in pack, ready."""
    with serving(tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.fixture(scope="session")
def blind_server(tmp_path_factory):
    """The same without previews, which is what ComfyUI does unless told otherwise."""
    with serving(tmp_path_factory.mktemp("blind"), ["--preview", "none"]) as running:
        yield running
