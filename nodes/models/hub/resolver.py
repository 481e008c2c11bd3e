"""The meaning of references: pinned once, then always the same, without network access."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.files.references import HubReference
from nodegraph.files.sources import Origin, SourceOptions, Watch
from nodes.models.hub.cache import known_commit, snapshot_path
from nodes.models.hub.discovery import choose
from nodes.models.hub.errors import HubOfflineError
from nodes.models.hub.lockfile import Lock, Pin

if TYPE_CHECKING:
    from nodes.models.hub.client import Client


class Hub:
    """Resolves references to one hub; the network is used only for what is not downloaded."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._cache = options.hub_cache_dir
        self._lock = Lock(options.lock_file)

    def find_local(self, reference: HubReference) -> Origin | None:
        """Return the origin of a reference if all of its files are downloaded."""
        pin = self._find_pin(reference)
        if pin is None or self._lacking(reference, pin):
            return None
        return self._origin(reference, pin)

    def pin(self, reference: HubReference) -> HubReference:
        """Pin a reference and return it with its commit and path.

        Raises:
            HubError: the hub is needed, and does not know it or may not be asked.
        """
        pin = self._find_pin(reference) or self._resolve(reference)
        self._lock.put(reference, pin)
        return reference.at(pin.commit, pin.path)

    def fetch(self, reference: HubReference, watch: Watch) -> Origin:
        """Download what is missing of a reference, and return its origin.

        Raises:
            HubError: the hub does not give it.
            WrongHashError: a file has another hash.
            RunCancelledError: `watch` cancelled it.
        """
        origin = self.find_local(reference)
        return origin or self._complete(reference, self._describe(reference), watch)

    def pull(self, reference: HubReference, watch: Watch) -> Origin:
        """Look a branch or tag up anew, pin its present commit, and fetch it."""
        return self._complete(reference, self._resolve(reference), watch)

    def references(self) -> list[HubReference]:
        """Return every reference that was used so far."""
        return self._lock.references()

    def recorded_hashes(self, reference: HubReference) -> Mapping[str, str]:
        """Return the files of a pinned reference with the sha256 that the hub gave for each."""
        pin = self._find_pin(reference)
        return pin.files if pin else {}

    def published_hashes(self, reference: HubReference) -> Mapping[str, str]:
        """Ask the hub now for the sha256 of each file at the pinned commit.

        Raises:
            HubError: it does not answer.
        """
        pinned = self.pin(reference)
        return self._client(reference).repository(pinned).files

    def _find_pin(self, reference: HubReference) -> Pin | None:
        """Return the pin of the lock file, or one derived from the cache."""
        pin = self._lock.get(reference)
        if pin is not None or not reference.names_file:
            return pin
        commit = known_commit(self._cache, reference)
        if commit is None:
            return None
        found = Pin(commit, reference.path, {reference.path: ""})
        return found if reference.is_fixed or not self._lacking(reference, found) else None

    def _describe(self, reference: HubReference) -> Pin:
        """Return a reference's pin; if it is pinned already, at that commit."""
        return self._lock.get(reference) or self._resolve(reference)

    def _resolve(self, reference: HubReference) -> Pin:
        """Ask the hub for a reference's pin."""
        found = self._client(reference).repository(reference)
        path, names = choose(reference, list(found.files))
        files = {name: found.files[name] for name in names}
        return Pin(found.commit, path, files, found.licence)

    def _complete(self, reference: HubReference, pin: Pin, watch: Watch) -> Origin:
        """Download what is missing and pin the reference."""
        lacking = self._lacking(reference, pin)
        self._lock.put(reference, pin)
        if lacking:
            client = self._client(reference)
            what = f"{len(lacking)} files of " if len(lacking) > 1 else ""
            at = reference.at(pin.commit, pin.path)
            watch.notice(f"{reference} is pinned to {pin.commit[:12]}; downloading {what}{at}.")
            files = dict(pin.files)
            for name in lacking:
                files[name] = self._download(client, reference.at(pin.commit, name), pin, watch)
            pin = replace(pin, files=files)
            self._lock.put(reference, pin)
        return self._origin(reference, pin)

    def _download(self, client: "Client", reference: HubReference, pin: Pin, watch: Watch) -> str:
        from nodes.models.hub.download import download

        return download(client, self._cache, reference, pin.files[reference.path], watch)

    def _client(self, reference: HubReference) -> "Client":
        if self._options.hub_offline:
            raise HubOfflineError(reference)
        from nodes.models.hub.client import Client  # Takes half a second.

        return Client(self._options.hub_endpoint, self._options.hub_token)

    def _lacking(self, reference: HubReference, pin: Pin) -> list[str]:
        return [n for n in pin.files if not self._place(reference, pin, n).is_file()]

    def _origin(self, reference: HubReference, pin: Pin) -> Origin:
        place = self._place(reference, pin, pin.path)
        return Origin(place, reference.at(pin.commit, pin.path), pin.licence)

    def _place(self, reference: HubReference, pin: Pin, path: str) -> Path:
        return snapshot_path(self._cache, reference.at(pin.commit, path))
