"""The settings: defaults < `nodegraph.toml` < `NODEGRAPH_*` environment < flags."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from nodegraph.cache.limit import AUTO, DeviceLimit, DiskLimit, Limit
from nodegraph.errors import SettingsError, nearest
from nodegraph.files.files import Files
from nodegraph.files.folders import FORMER_NAMES, Folders
from nodegraph.files.identity import Identities
from nodegraph.files.objects.address import ObjectAddress, Place
from nodegraph.files.sources import SourceOptions, open_sources
from nodegraph.files.user_dirs import cache_folder, data_folder, hub_folder
from nodegraph.runtime.choices import (
    DEFAULT_ATTENTION,
    PATIENCE,
    Attention,
    PreviewMethod,
    Range,
)
from nodegraph.settings.layers import (
    FLAGS,
    TABLES,
    Layer,
    from_environment,
    from_file,
    from_flags,
    nest,
    types_of,
)
from nodegraph.settings.places import OpenPlaces, StoreOptions, open_places
from nodegraph.settings.ray import RaySettings
from nodegraph.settings.server import ServerSettings

if TYPE_CHECKING:
    from pydantic import ValidationError

HUB = "https://huggingface.co"
_COPIES = 10 * 2**30


def _beside_or_data(name: str) -> Path:
    """`./name` where it exists, else the user's own."""
    return Path(name) if Path(name).is_dir() else data_folder() / name


def _lock_file() -> Path:
    name = "nodegraph.lock"
    return Path(name) if Path(name).is_file() else data_folder() / name


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that can be set. Relative paths are relative to what sets them."""

    models_dir: tuple[Place, ...] = field(default_factory=lambda: (_beside_or_data("models"),))
    """Folders that hold `checkpoints/`, `loras/`, …; the first that has a file wins. These and
    the next two may lie in an object store: `s3://bucket/prefix`."""
    input_dir: Place = field(default_factory=lambda: _beside_or_data("input"))
    output_dir: Place = field(default_factory=lambda: _beside_or_data("output"))
    cache_dir: Path = field(default_factory=cache_folder)
    """Snapshots of packs and hashes of files; safe to delete."""
    temp_dir: Place = field(default_factory=lambda: cache_folder() / "temp")
    """Previews; below `cache_dir` unless it is set. It may lie in an object store."""
    object_endpoint: str = ""
    """The address of the object store, where it is not the cloud's own."""
    object_patience: Annotated[float, Range(gt=0)] = 60.0
    """The most seconds that a request to an object store is tried for."""
    object_cache: DiskLimit = _COPIES
    """Bytes of the local copies of inputs and outputs from an object store, in `cache_dir`."""
    extra_model_paths: Mapping[str, tuple[Path, ...]] = field(
        default_factory=dict[str, tuple[Path, ...]]
    )
    """More folders, by model folder: `checkpoints`, `loras`, …"""
    extra_model_paths_file: Path | None = None
    """The same as ComfyUI has it: its `extra_model_paths.yaml`."""
    packs: tuple[str, ...] | None = None
    """The packs to load; all that are installed or in `packs_dir` if None."""
    packs_dir: Path = field(default_factory=lambda: _beside_or_data("packs"))
    """Holds packs that are not installed, a folder each."""
    pack_patience: Annotated[float, Range(gt=0)] = PATIENCE
    """The most seconds that the import of a new or edited pack may take."""
    custom_nodes_dir: Path = field(default_factory=lambda: _beside_or_data("custom_nodes"))
    """Holds packs that were written for ComfyUI."""
    hub_cache_dir: Path = field(default_factory=hub_folder)
    """Downloads of `hf://` references; by default the folder that the hub's own client uses."""
    hub_endpoint: str = field(default_factory=lambda: os.environ.get("HF_ENDPOINT") or HUB)
    hub_token: str = field(default="", repr=False)
    """The token for the hub; by default the client's own: `HF_TOKEN`, or a login."""
    hub_offline: bool = field(default_factory=_offline)
    """True to use only local files of the hub."""
    lock_file: Path = field(default_factory=_lock_file)
    """The file that records the commit of each `hf://` reference."""
    preview_method: PreviewMethod = "latent2rgb"
    """The method that makes previews of unfinished images; `taesd` needs a file in `vae_approx`."""
    attention: Attention = DEFAULT_ATTENTION
    """The kernels that compute attention; some need a package of their own."""
    result_cache: Limit = AUTO
    """Bytes of results that are kept between runs; `auto` is half of the memory."""
    device_result_cache: DeviceLimit = AUTO
    """Bytes of an accelerator, or a share of its memory, that results fill between runs before
    they move to the host's memory; `auto` is a tenth."""
    disk_result_cache: DiskLimit = 0
    """Bytes of results that are kept on the disk, in `cache_dir`; 0 keeps none there."""
    weights_cache: Limit = AUTO
    """Bytes of weights that stay in memory between runs; `auto` goes by the device's memory."""
    memory_budget: DeviceLimit = AUTO
    """The most bytes of an accelerator, or the share, that weights take; the rest is streamed."""
    memory_reserve: DeviceLimit = AUTO
    """Bytes of an accelerator, or a share, that stay free for other programs."""
    merge: bool = False
    """True to make model calls of runs that go on at the same time as one, where shapes allow."""
    allow_pickle: bool = False
    """True to convert `.ckpt`, `.pt`, `.pth` and `.bin` files instead of refusing them."""
    server: ServerSettings = field(default_factory=ServerSettings)
    """The settings of `nodegraph serve` only."""

    @classmethod
    def read(
        cls,
        flags: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        flags_checked: bool = False,
    ) -> "Settings":
        """Gather the settings from everywhere.

        Args:
            flags: what the command line says, also as JSON; None and empty values say nothing.
            environment: `os.environ` if None.
            flags_checked: whether the flags are of the right types and in their ranges.

        Raises:
            SettingsError: an unknown key or a value without meaning, and where it stands; also
                where another overrules it, for other programs read the same file.
        """
        environment = os.environ if environment is None else environment
        types = types_of(cls)
        file, variables = from_file(environment, types), from_environment(environment, types)
        layers = (file, variables, from_flags(flags or {}, types))
        for layer, *later in (layers, layers[1:]):
            _check_overruled(layer, later)
        merged: dict[str, object] = {}
        origin: dict[str, str] = {}
        for layer in layers:
            _check_keys(layer)
            merged |= layer.values
            origin |= dict.fromkeys(layer.values, layer.where)
        checked = {
            key
            for key, value in merged.items()
            if _is_path(value) or (flags_checked and origin[key] == FLAGS)
        }
        settings = _plain(merged) if checked == merged.keys() else _validate(merged, origin)
        if "cache_dir" in merged and "temp_dir" not in merged:
            return replace(settings, temp_dir=settings.cache_dir / "temp")
        return settings

    @property
    def results_dir(self) -> Path:
        """The folder of the results that are kept on the disk."""
        return self.cache_dir / "results"

    def files(self, model_places: Mapping[str, tuple[Path, ...]] | None = None) -> Files:
        """The folders these settings name, with the packs' own model files."""
        more: dict[str, tuple[Path, ...]] = dict(self.extra_model_paths)
        if self.extra_model_paths_file:
            from nodegraph.files.extra_paths import read_extra_paths

            more = _join(more, read_extra_paths(self.extra_model_paths_file))
        more = _join(more, model_places or {})
        places = self._open_places()
        users = places.users
        folders = Folders(places.models, users["input"], users["output"], users["temp"], more)
        identities = Identities(self.cache_dir / "identities.sqlite")
        options = SourceOptions(
            hub_cache_dir=self.hub_cache_dir,
            hub_endpoint=self.hub_endpoint,
            hub_token=self.hub_token,
            hub_offline=self.hub_offline,
            lock_file=self.lock_file,
            converted_dir=self.cache_dir / "converted",
            allow_pickle=self.allow_pickle,
            identity=identities.sha256,
        )
        return Files(
            folders,
            identities,
            cache(partial(open_sources, options)),
            elsewhere=places.elsewhere,
            model_roots=places.model_roots,
        )

    def _open_places(self) -> OpenPlaces:
        return open_places(
            self.models_dir,
            {"input": self.input_dir, "output": self.output_dir, "temp": self.temp_dir},
            StoreOptions(
                endpoint=self.object_endpoint,
                patience=self.object_patience,
                folder=self.cache_dir / "objects",
                most_copied=self.object_cache,
            ),
        )


def _join(
    first: Mapping[str, tuple[Path, ...]], then: Mapping[str, tuple[Path, ...]]
) -> dict[str, tuple[Path, ...]]:
    joined: dict[str, tuple[Path, ...]] = {}
    for name, places in (*first.items(), *then.items()):
        folder = FORMER_NAMES.get(name, name)
        joined[folder] = (*joined.get(folder, ()), *places)
    return joined


def _check_keys(layer: Layer) -> None:
    known = [*types_of(Settings)]
    for key in layer.values:
        if key in TABLES:
            message = f"{layer.spelling(key)!r} in {layer.where} has to be a table."
            raise SettingsError(message, hint=f"For example: [{key}].")
        if key not in known:
            message = f"unknown setting {layer.spelling(key)!r} in {layer.where}."
            hint = nearest(key, known) or f"There are: {', '.join(known)}."
            raise SettingsError(message, hint=hint)


def _check_overruled(layer: Layer, later: Sequence[Layer]) -> None:
    """Refuse a value without meaning though it is not used: a worker has not all of the flags."""
    overruled = {
        key: value
        for key, value in layer.values.items()
        if not _is_path(value) and any(key in other.values for other in later)
    }
    if overruled:
        _validate(overruled, dict.fromkeys(overruled, layer.where))


def _is_path(value: object) -> bool:
    """Say if a value is a path or several, which need no check."""
    items = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    return all(isinstance(item, Path | ObjectAddress) for item in items)


def _plain(values: Mapping[str, object]) -> Settings:
    """Settings of values that need no check: pydantic takes a tenth of a second to import."""
    tree: dict[str, Any] = nest(values)
    table: dict[str, Any] = tree.pop("server", {})
    ray: dict[str, Any] = table.pop("ray", {})
    return Settings(**tree, server=ServerSettings(**table, ray=RaySettings(**ray)))


def _validate(values: Mapping[str, object], origin: Mapping[str, str]) -> Settings:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Settings).validate_python(nest(values))
    except ValidationError as error:
        raise _settings_error(error, origin) from error


def _settings_error(error: "ValidationError", origin: Mapping[str, str]) -> SettingsError:
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]  # a place is a path or an address
    key = ".".join(part for part in parts if "[" not in part and part != ObjectAddress.__name__)
    where = next((said for name, said in origin.items() if f"{key}.".startswith(f"{name}.")), "")
    told = first["msg"].removeprefix("Value error, ")
    reason = told[0].lower() + told[1:]
    return SettingsError(f"the setting {key!r} in {where or 'a default'}: {reason}.")
