"""The folders that settings name: local ones as they are, those in object stores opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.files.objects.address import ObjectAddress, Place
from nodegraph.files.users.folder import FolderElsewhere
from nodegraph.graph.results import FolderType

if TYPE_CHECKING:
    from nodegraph.files.objects.models import ModelRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """The settings of object stores."""

    endpoint: str
    """The address of the service; empty for its own."""
    patience: float
    """The most seconds that a request is tried for."""
    folder: Path
    """The local folder for copies."""
    most_copied: int
    """The most bytes of copies of users' files."""


@dataclass(frozen=True, slots=True)
class OpenPlaces:
    """Local folders for every place, and the object stores that some of them stand for."""

    models: tuple[Path, ...]
    users: Mapping[FolderType, Path]
    elsewhere: Mapping[FolderType, FolderElsewhere] = field(
        default_factory=dict[FolderType, FolderElsewhere]
    )
    model_roots: "Mapping[Path, ModelRoot]" = field(default_factory=dict[Path, "ModelRoot"])


def open_places(
    models: Sequence[Place], users: Mapping[FolderType, Place], options: StoreOptions
) -> OpenPlaces:
    """Open the places that settings name; nothing is asked over the network yet.

    Args:
        models: the roots of model folders.
        users: the input, output and temp folder.
        options: the settings of object stores.

    Raises:
        SettingsError: an object store is named, and its library is not installed.
    """
    local = tuple(_local(place, options) for place in models)
    folders: dict[FolderType, Path] = {
        kind: _local(place, options) for kind, place in users.items()
    }
    addresses = [each for each in (*models, *users.values()) if isinstance(each, ObjectAddress)]
    if not addresses:
        return OpenPlaces(local, folders)
    from nodegraph.files.objects.bucket import Bucket
    from nodegraph.files.objects.connect import check_installed
    from nodegraph.files.objects.copies import Copies
    from nodegraph.files.objects.folder import ObjectFolder
    from nodegraph.files.objects.models import ModelRoot

    check_installed(addresses[0])
    copies = Copies(options.folder / "copies", options.most_copied)

    buckets = {
        (each.scheme, each.container): Bucket(each, options.endpoint, options.patience)
        for each in addresses
    }
    return OpenPlaces(
        local,
        folders,
        {
            kind: ObjectFolder(buckets[place.scheme, place.container], place, copies)
            for kind, place in users.items()
            if isinstance(place, ObjectAddress)
        },
        {
            root: ModelRoot(buckets[place.scheme, place.container], place, root)
            for root, place in zip(local, models, strict=True)
            if isinstance(place, ObjectAddress)
        },
    )


def _local(place: Place, options: StoreOptions) -> Path:
    """Return a local folder: the place itself, or one that stands for it."""
    if isinstance(place, Path):
        return place
    digest = sha256(str(place).encode()).hexdigest()[:12]
    return options.folder / "local" / f"{place.scheme}-{place.container}-{digest}"
