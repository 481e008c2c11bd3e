"""A hub on this machine, and somewhere to put what it gives."""

from typing import Any

import pytest

from nodegraph.errors import RunCancelledError
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.files.identity import Identities
from nodegraph.files.sources import SourceOptions
from nodes.preflight.sources import open_sources
from tests.nodes.models.hub.server import Hub


class Watch:
    """Keeps what it is told; wants no more after so many checks."""

    def __init__(self, cancel_at=0):
        self.progressed = []
        self.notices = []
        self.checks = 0
        self.cancel_at = cancel_at

    def progress(self, value, total):
        self.progressed.append((value, total))

    def notice(self, message):
        self.notices.append(message)

    def check_cancelled(self):
        self.checks += 1
        if self.checks == self.cancel_at:
            raise RunCancelledError


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The hub; whoever runs the tests has no token and is online."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    server = Hub()
    yield server
    server.close()


@pytest.fixture
def open_hub(hub, tmp_path):
    """Open what fetches from it, as a program would when it starts."""

    def open_it(**more):
        options: dict[str, Any] = {
            "hub_cache_dir": tmp_path / "hub",
            "hub_endpoint": hub.url,
            "hub_token": "",
            "hub_offline": False,
            "lock_file": tmp_path / "nodegraph.lock",
            "converted_dir": tmp_path / "converted",
            "allow_pickle": False,
            "identity": Identities().sha256,
        }
        return open_sources(SourceOptions(**(options | more)))

    return open_it


@pytest.fixture
def files(open_hub, tmp_path):
    """Files that know the hub."""
    sources = open_hub()
    return Files(Folders.under(tmp_path), open_sources=lambda: sources)
