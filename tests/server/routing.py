"""Every route of the server, as the application has them."""

from typing import NamedTuple

from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings
from server.lifecycle.app import create_app
from server.pictures.process import Pictures
from server.scheduling.dispatcher import Dispatcher
from server.scheduling.event_bus import Bus
from server.store.store import Store
from server.web.services import Parts
from server.web.tokens import Tokens
from server.webhooks.sender import Webhooks
from server.webhooks.signing import Signer, new_secret
from server.webhooks.targets import Targets
from tests.server.postgres import queue_in


class Route(NamedTuple):
    """A method and a path, in which `{name}` stands for anything."""

    method: str
    path: str


def routes(folder):
    """The routes of a server that keeps its things in that folder; those at `/api` once."""
    settings = Settings()
    store = Store(queue_in(folder))
    bus = Bus()
    registry = Registry.load(("nodes",))
    parts = Parts(
        settings=settings,
        registry=registry,
        files=settings.files(),
        store=store,
        bus=bus,
        dispatcher=Dispatcher(store, bus),
        pictures=Pictures(),
        webhooks=Webhooks(store.deliveries, Targets([]), Signer(new_secret())),
        data_dir=folder,
    )
    app = create_app(parts, settings.server, Tokens())
    found = {Route(route.method, _path(route)) for route in app.router.routes()}
    return sorted(found)


def _path(route):
    return route.resource.canonical
