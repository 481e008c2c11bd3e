"""Two servers that the tests of this folder share: one of ComfyUI's dialect, and ours before it."""

from typing import NamedTuple

import pytest

from tests.server.serving import Server, install_toys, serving, until
from tests.server.workers.comfyui.dialect import DialectServer, dialect

TOKEN = "a-token-that-nobody-may-see"


class Both(NamedTuple):
    """Our server, and the one of ComfyUI's dialect that is a worker of it."""

    ours: Server
    theirs: DialectServer


def knows(server, type_name):
    """Whether a server has a node type."""
    return bool(server.get(f"/object_info/{type_name}").json)


@pytest.fixture(scope="session")
def both(tmp_path_factory):
    """Two servers; theirs wants a token, which ours has."""
    home = tmp_path_factory.mktemp("comfyui")
    install_toys(home)
    secret = {"NODEGRAPH_SERVER_COMFYUI_HEADERS": f"main=Authorization: Bearer {TOKEN}"}
    with dialect(home / "theirs", TOKEN) as theirs:
        flags = ["--comfyui", f"main={theirs.url}"]
        with serving(home, flags, {"NODEGRAPH_PACKS": "toys", **secret}) as ours:
            until(lambda: knows(ours, "ForeignSteps"))
            yield Both(ours, theirs)
