"""Fixtures for tests of object stores: folders in one, and proxies before it."""

from uuid import uuid4

import pytest

from nodegraph.settings.settings import Settings
from tests.object_stores.failing import FailingProxy


@pytest.fixture
def prefix():
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def failing(object_store):
    """Open proxies that fail each request of a number."""
    proxies = []

    def open_one(every=0):
        proxies.append(FailingProxy(object_store.endpoint, every))
        return proxies[-1]

    yield open_one
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def open_files(object_store, monkeypatch, tmp_path, prefix):
    """Open the files of a machine whose folders lie in the store."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)

    def open_one(endpoint="", machine="a", **more):
        flags = {
            "input_dir": object_store.place(f"{prefix}/in"),
            "output_dir": object_store.place(f"{prefix}/out"),
            "cache_dir": str(tmp_path / machine),
        }
        environment = {"NODEGRAPH_OBJECT_ENDPOINT": endpoint} if endpoint else {}
        return Settings.read(flags | more, environment).files()

    return open_one
