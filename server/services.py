"""What routes work with."""

from dataclasses import dataclass

from aiohttp import web

from nodegraph.files import Files
from nodegraph.registry import Registry
from nodegraph.settings import Settings
from server.bus import Bus
from server.dispatcher import Dispatcher
from server.pictures.process import Pictures
from server.store.store import Store


@dataclass(frozen=True, slots=True)
class Services:
    """One server's parts."""

    settings: Settings
    registry: Registry
    files: Files
    store: Store
    bus: Bus
    dispatcher: Dispatcher
    pictures: Pictures


SERVICES = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """The parts of the server that got a request."""
    return request.app[SERVICES]
