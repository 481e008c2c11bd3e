"""What can be asked over HTTP at all: each route is on a list that somebody looked at.

None of them installs a package, fetches from an address, or writes outside the folders of the
one who asks. A route that is added has to be added to `routes.txt`, by somebody who made sure.
"""

from pathlib import Path

import pytest

from server.api.editor.packages import find_editor
from tests.server.routing import routes

LIST = Path(__file__).with_name("routes.txt")
BANNED = ("install", "pip", "git", "download", "fetch", "proxy", "manager", "exec", "eval", "shell")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The routes, without those at `/api`, those for HEAD, and the editor's own files."""
    static = find_editor().static
    parts = {path.name for path in static.iterdir()} if static else set()
    every = {
        (route.method, route.path.removeprefix("/api"))
        for route in routes(tmp_path_factory.mktemp("routes"))
        if route.method != "HEAD"
    }
    return {item for item in every if item[1].split("/")[1] not in parts - {"extensions"}}


def test_every_route_is_on_the_list(found):
    listed = {tuple(line.split()) for line in LIST.read_text().splitlines()}
    found = {item for item in found if item != ("GET", "/extensions/{rest}")}

    assert found == listed, "look at what it may do, then add it to tests/server/api/routes.txt"


def test_no_route_is_for_installing_or_fetching(found):
    assert not [path for _, path in found if any(word in path for word in BANNED)]
