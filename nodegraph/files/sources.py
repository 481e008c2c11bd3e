"""Where model files come from that are not simply there: a hub, or another format.

The engine knows how such files are named (`nodegraph.files.references`); getting them is up to
whatever a distribution offers under the entry point `models` of the group `nodegraph.sources`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from nodegraph.errors import NoSourcesError
from nodegraph.files.references import HubReference
from nodegraph.runtime.entry_points import entry_points

GROUP = "nodegraph.sources"
NAME = "models"


class Watch(Protocol):
    """Receives the progress of a download; every `Context` is one."""

    def progress(self, value: int, total: int) -> None:
        """Report that `value` of `total` megabytes are downloaded."""
        ...

    def notice(self, message: str) -> None:
        """Report something that is not an error."""
        ...

    def check_cancelled(self) -> None:
        """Raise `RunCancelledError` if the run was cancelled."""
        ...


class Origin(NamedTuple):
    """A local copy of a file or folder on a hub."""

    path: Path
    reference: HubReference
    """Its commit and its path in the repository."""
    licence: str
    """The licence that its repository declares; empty if there is none, or it is not known."""


class ModelSummary(NamedTuple):
    """A model file in short, as its headers have it."""

    family: str
    """As people call it, or as the file calls itself; empty if nobody says."""
    dtypes: tuple[str, ...]
    """The dtypes of its stored tensors; that of the most numbers comes first."""
    parameters: int


class Sources(Protocol):
    """Gets model files, and reads what they say of themselves."""

    def find_local(self, reference: HubReference) -> Origin | None:
        """Return the local copy of a reference's file, without the network; None if missing."""
        ...

    def pin(self, reference: HubReference) -> HubReference:
        """Pin a reference to a commit and path, now and for later runs.

        Asks the hub if the reference was never used before.
        """
        ...

    def fetch(self, reference: HubReference, watch: Watch) -> Origin:
        """Return the file of a reference, and download it if it is missing."""
        ...

    def loadable(self, path: Path, watch: Watch | None) -> Path | None:
        """Return the file that loaders read for `path`: itself, or its converted copy.

        Args:
            path: any weights file.
            watch: is told of a conversion; without one nothing is converted.

        Returns:
            The file, or None if it would have to be converted first.
        """
        ...

    def summarize(self, path: Path) -> ModelSummary:
        """Read the headers of a weights file, of a set of shards or of a diffusers folder.

        Raises:
            NodeGraphError: it is damaged, or of a format that is not read.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """The settings of the sources."""

    hub_cache_dir: Path
    hub_endpoint: str
    hub_token: str = field(repr=False)
    hub_offline: bool
    lock_file: Path
    converted_dir: Path
    allow_pickle: bool
    identity: Callable[[Path], str]
    """A file's sha256."""


def open_sources(options: SourceOptions) -> Sources:
    """Open the sources that are installed.

    Raises:
        NoSourcesError: none are.
    """
    from pkgutil import resolve_name

    place = entry_points(GROUP).get(NAME)
    if place is None:
        raise NoSourcesError
    make = cast("Callable[[SourceOptions], Sources]", resolve_name(place))
    return make(options)
