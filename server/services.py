"""What routes work with: the server's parts, as far as they are the one's who asks."""

from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from nodegraph.files import Files
from nodegraph.registry import Registry
from nodegraph.settings import Settings
from server.bus import Bus
from server.dispatcher import Dispatcher
from server.owned import OwnBus, OwnDispatcher, OwnStore
from server.pictures.process import Pictures
from server.store.store import Store
from server.webhooks.sender import Webhooks
from server.webhooks.targets import Targets


@dataclass(frozen=True, slots=True)
class Parts:
    """One server's parts, with everything of everybody: for those who run it."""

    settings: Settings
    registry: Registry
    files: Files
    store: Store
    bus: Bus
    dispatcher: Dispatcher
    pictures: Pictures
    webhooks: Webhooks
    data_dir: Path

    def of(self, owner: str) -> "Services":
        """What an owner sees of them."""
        return Services(
            owner=owner,
            settings=self.settings,
            registry=self.registry,
            files=self.files.of(owner),
            store=OwnStore(self.store, owner),
            bus=OwnBus(self.bus, owner),
            dispatcher=OwnDispatcher(self.dispatcher, owner),
            pictures=self.pictures,
            targets=self.webhooks.targets,
            folder=self.data_dir / "users" / owner if owner else self.data_dir / "editor",
        )


@dataclass(frozen=True, slots=True)
class Services:
    """What one owner's requests work with."""

    owner: str
    """The name of the token that the request came with; empty if it has none."""
    settings: Settings
    registry: Registry
    files: Files
    """The models, and the owner's own input, output and temp folder."""
    store: OwnStore
    bus: OwnBus
    dispatcher: OwnDispatcher
    pictures: Pictures
    targets: Targets
    """Where webhooks may go."""
    folder: Path
    """Where the owner's workflows and settings are kept; may not exist yet."""


PARTS = web.AppKey("parts", Parts)
_OWNER = web.RequestKey("owner", str)


def services(request: web.Request) -> Services:
    """The parts of the server that got a request, for whoever sent it."""
    return parts_of(request).of(owner_of(request))


def parts_of(request: web.Request) -> Parts:
    """All of the server: only for what shows or touches nothing of anybody's."""
    return request.app[PARTS]


def owner_of(request: web.Request) -> str:
    """Whose request it is; every request that comes past the guard has an owner."""
    return request[_OWNER]


def set_owner(request: web.Request, owner: str) -> None:
    """Remember whose request it is; only the guard knows."""
    request[_OWNER] = owner
