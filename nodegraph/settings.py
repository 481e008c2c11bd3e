"""The settings: defaults < `nodegraph.toml` < `NODEGRAPH_*` environment < flags."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nodegraph.computing import DEFAULT, Attention
from nodegraph.errors import SettingsError, nearest
from nodegraph.events import PreviewMethod
from nodegraph.files import Files
from nodegraph.folders import FORMER_NAMES, Folders
from nodegraph.identity import Identities
from nodegraph.places import cache_folder, data_folder, hub_folder
from nodegraph.sources import SourceOptions, open_sources

if TYPE_CHECKING:
    from pydantic import ValidationError

FILE = "nodegraph.toml"
PREFIX = "NODEGRAPH_"
FILE_VARIABLE = "NODEGRAPH_CONFIG"
_PATHS = (
    "input_dir",
    "output_dir",
    "temp_dir",
    "cache_dir",
    "extra_model_paths_file",
    "hub_cache_dir",
    "lock_file",
)
HUB = "https://huggingface.co"


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

    models_dir: tuple[Path, ...] = field(default_factory=lambda: (_beside_or_data("models"),))
    """Folders that hold `checkpoints/`, `loras/`, …; the first that has a file wins."""
    input_dir: Path = field(default_factory=lambda: _beside_or_data("input"))
    output_dir: Path = field(default_factory=lambda: _beside_or_data("output"))
    cache_dir: Path = field(default_factory=cache_folder)
    """Snapshots of packs and hashes of files; safe to delete."""
    temp_dir: Path = field(default_factory=lambda: cache_folder() / "temp")
    """Previews; below `cache_dir` unless it is set."""
    extra_model_paths: Mapping[str, tuple[Path, ...]] = field(
        default_factory=dict[str, tuple[Path, ...]]
    )
    """More folders, by model folder: `checkpoints`, `loras`, …"""
    extra_model_paths_file: Path | None = None
    """The same as ComfyUI has it: its `extra_model_paths.yaml`."""
    packs: tuple[str, ...] | None = None
    """The packs to load; all that are installed if None."""
    hub_cache_dir: Path = field(default_factory=hub_folder)
    """What `hf://` references download; by default the folder that the hub's client uses."""
    hub_endpoint: str = field(default_factory=lambda: os.environ.get("HF_ENDPOINT") or HUB)
    hub_token: str = field(default="", repr=False)
    """For repositories that need one; by default the client's own: `HF_TOKEN`, or a login."""
    hub_offline: bool = field(default_factory=_offline)
    """Use only what is here."""
    lock_file: Path = field(default_factory=_lock_file)
    """Which commit each `hf://` reference means."""
    preview_method: PreviewMethod = "latent2rgb"
    """How unfinished images are shown to those who look; `taesd` needs a file in `vae_approx`."""
    attention: Attention = DEFAULT
    """Which kernels compute attention; some need a package of their own."""
    allow_pickle: bool = False
    """Convert `.ckpt`, `.pt`, `.pth` and `.bin` files instead of refusing them."""

    @classmethod
    def read(
        cls,
        flags: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> "Settings":
        """Gather the settings from everywhere.

        Args:
            flags: what the command line says; None values and empty tuples say nothing.
            environment: `os.environ` if None.

        Raises:
            SettingsError: an unknown key or a value without meaning, and where it stands.
        """
        environment = os.environ if environment is None else environment
        said = {key: value for key, value in (flags or {}).items() if value not in (None, ())}
        layers = [_from_file(environment), _from_environment(environment), ("a flag", said)]
        merged: dict[str, object] = {}
        origin: dict[str, str] = {}
        for where, values in layers:
            _check_keys(where, values)
            merged |= values
            origin |= dict.fromkeys(values, where)
        settings = _validated(merged, origin) if merged else cls()
        if "cache_dir" in merged and "temp_dir" not in merged:
            return replace(settings, temp_dir=settings.cache_dir / "temp")
        return settings

    def files(self, model_places: Mapping[str, tuple[Path, ...]] | None = None) -> Files:
        """The folders these settings name, with the packs' own model files."""
        more: dict[str, tuple[Path, ...]] = dict(self.extra_model_paths)
        if self.extra_model_paths_file:
            from nodegraph.extra_paths import read_extra_paths

            more = _joined(more, read_extra_paths(self.extra_model_paths_file))
        more = _joined(more, model_places or {})
        folders = Folders(self.models_dir, self.input_dir, self.output_dir, self.temp_dir, more)
        identities = Identities(self.cache_dir / "identities.sqlite")
        options = SourceOptions(
            hub_cache_dir=self.hub_cache_dir,
            hub_endpoint=self.hub_endpoint,
            hub_token=self.hub_token,
            hub_offline=self.hub_offline,
            lock_file=self.lock_file,
            converted_dir=self.cache_dir / "converted",
            allow_pickle=self.allow_pickle,
            identity=identities.of,
        )
        return Files(folders, identities, cache(partial(open_sources, options)))


def _from_file(environment: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    named = environment.get(FILE_VARIABLE)
    path = Path(named or FILE)
    if not named and not path.is_file():
        return FILE, {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path} cannot be read: {error}."
        raise SettingsError(message) from error
    return str(path), {key: _placed(key, value, path.parent) for key, value in values.items()}


def _from_environment(environment: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    values: dict[str, object] = {
        name.removeprefix(PREFIX).lower(): text
        for name, text in environment.items()
        if name.startswith(PREFIX) and name != FILE_VARIABLE and text
    }
    return "the environment", {key: _parsed(key, cast("str", values[key])) for key in values}


def _parsed(key: str, text: str) -> object:
    """An environment variable's text: lists are separated as PATH is, or by commas."""
    if key == "models_dir":
        return tuple(Path(part).expanduser() for part in text.split(os.pathsep) if part)
    if key == "packs":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return Path(text).expanduser() if key in _PATHS else text


def _placed(key: str, value: Any, folder: Path) -> object:
    """A value of the file, with its relative paths made relative to the file's folder."""
    if key == "models_dir":
        return _paths(value, folder)
    if key == "extra_model_paths" and isinstance(value, dict):
        given = cast("dict[str, object]", value)
        return {name: _paths(places, folder) for name, places in given.items()}
    if key in _PATHS and isinstance(value, str):
        return folder / Path(value).expanduser()
    return value


def _paths(value: object, folder: Path) -> object:
    """One path or a list of them as a tuple; anything else as it is, to be refused later."""
    items = cast("list[object]", value if isinstance(value, list) else [value])
    if not all(isinstance(item, str) for item in items):
        return items
    return tuple(folder / Path(str(item)).expanduser() for item in items)


def _joined(
    first: Mapping[str, tuple[Path, ...]], then: Mapping[str, tuple[Path, ...]]
) -> dict[str, tuple[Path, ...]]:
    joined: dict[str, tuple[Path, ...]] = {}
    for name, places in (*first.items(), *then.items()):
        folder = FORMER_NAMES.get(name, name)
        joined[folder] = (*joined.get(folder, ()), *places)
    return joined


def _check_keys(where: str, values: Mapping[str, object]) -> None:
    known = [item.name for item in fields(Settings)]
    for key in values:
        if key not in known:
            shown = f"{PREFIX}{key.upper()}" if where == "the environment" else key
            message = f"unknown setting {shown!r} in {where}."
            hint = nearest(key, known) or f"There are: {', '.join(known)}."
            raise SettingsError(message, hint=hint)


def _validated(values: Mapping[str, object], origin: Mapping[str, str]) -> Settings:
    from pydantic import TypeAdapter, ValidationError  # Takes 0.1 s, and most set nothing.

    try:
        return TypeAdapter(Settings).validate_python(values)
    except ValidationError as error:
        raise _explained(error, origin) from error


def _explained(error: "ValidationError", origin: Mapping[str, str]) -> SettingsError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = origin.get(str(first["loc"][0]), "a default")
    reason = first["msg"][0].lower() + first["msg"][1:]
    return SettingsError(f"the setting {key!r} in {where}: {reason}.")
