"""The import hook for packs: they import stand-ins for ComfyUI's modules, nobody else does.

A pack's module is run with an `__import__` of its own, which finds stand-ins for ComfyUI's modules
under their names (`nodes`, `server`, `comfy`, …). Other modules' imports are not affected.
"""

import builtins
import gc
import importlib
import importlib.util
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from nodes.comfy.host_modules import STANDINS, find_host, host_module, is_host
from nodes.comfy.values.runtime import PackEnvironment, PackFinder, at_import, current

PACKAGE = "custom_nodes"
"""The package that packs are modules of."""


class PackLoader(SourceFileLoader):
    """Runs a module of a pack with the pack's own `__import__`."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        vars(module)["__builtins__"] = BUILTINS
        super().exec_module(module)


class PackEntry(PackLoader):
    """Runs a pack's main module, and adds its `PACK` and node types."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and read its declarations."""
        self.get_code(module.__name__)  # a syntax error shows before anything slow happens
        from nodes.comfy.declare import declarations_of
        from nodes.comfy.host.node_classes import NODE_CLASS_MAPPINGS
        from nodes.comfy.host.sampling.added_names import added_names, register_names
        from nodes.comfy.torch_guard import guard_torch  # Here and below: they need torch.

        NODE_CLASS_MAPPINGS.forget(module.__name__)
        with at_import():
            before = added_names()
            with guard_torch(), kept_libraries():
                super().exec_module(module)
            vars(module).update(declarations_of(module, register_names(before)))


class ApartLoader(Loader):
    """Makes a pack's module of node types that ask the process of its own environment."""

    def __init__(self, environment: PackEnvironment, name: str) -> None:
        self._environment = environment
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        """Add the `PACK` and the node types of its catalog."""
        from nodes.comfy.apart.proxies import proxies_of  # Here: it needs torch.

        settings = self._environment.settings
        source = self._environment.apart[self._name]
        vars(module).update(proxies_of(source, settings.cache_dir, settings.pack_patience))


@dataclass(frozen=True)
class Finder(PackFinder):
    """Finds packs below a folder as modules of `PACKAGE`, and what they import there."""

    places: set[Path] = field(default_factory=set[Path], compare=False)
    """Where the packs lie that were found; a pack's folder may be a symbolic link."""

    @property
    def folder(self) -> Path:
        """Return the folder that the packs lie in."""
        return self.environment.custom_nodes

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module in a pack, or None."""
        parent, _, own = name.rpartition(".")
        if name == PACKAGE:
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(self.folder)]
            return spec
        if parent == PACKAGE:
            return self._pack(name, own)
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader) and self._holds(spec.origin):
            spec.loader = PackLoader(name, spec.loader.path)
        elif spec:
            self.libraries.add(name)
        return spec

    def _pack(self, name: str, own: str) -> ModuleSpec | None:
        for item in self.folder.iterdir():
            if item.is_dir() and item.name.replace(".", "_") == own:
                place, inside = item / "__init__.py", [str(item)]
                break
        else:
            place, inside = self.folder / f"{own}.py", None
        if not place.is_file():
            return None
        self.places.add((place.parent if inside else place).resolve())
        if own in self.environment.apart:
            return ModuleSpec(name, ApartLoader(self.environment, own), origin=str(place))
        loader = PackEntry(name, str(place))
        return importlib.util.spec_from_file_location(
            name, place, loader=loader, submodule_search_locations=inside
        )

    def _holds(self, origin: str | None) -> bool:
        """Return True if a file is a pack's, by the path of the folder or by its own."""
        places = (self.folder, *self.places) if origin else ()
        return any(Path(origin or "").is_relative_to(place) for place in places)


def install(environment: PackEnvironment) -> None:
    """Find the packs of this environment from now on, and no longer those of another one."""
    finder: Any = Finder(environment)
    before = current()
    if finder in sys.meta_path:  # It stays, with what packs have added to it.
        before.take_packs(environment)
        return
    others = [item for item in sys.meta_path if not isinstance(item, Finder)]
    at = others.index(PathFinder) if PathFinder in others else len(others)
    sys.meta_path[:] = [*others[:at], finder, *others[at:]]
    if before.custom_nodes == environment.custom_nodes:
        environment.take_additions(before)  # Its modules are not run again.
    elif PACKAGE in sys.modules:
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{PACKAGE}.")]:
            del sys.modules[name]


@contextmanager
def kept_libraries() -> Generator[None]:
    """Put back the libraries' modules that a pack removes from `sys.modules` within this block.

    Some packs remove all that was imported meanwhile, and parts of numpy can not be imported twice.
    """
    libraries = next(item.libraries for item in sys.meta_path if isinstance(item, Finder))
    libraries.clear()
    try:
        yield
    finally:
        lost = {name for name in libraries if name not in sys.modules}
        if lost:
            modules = (item for item in gc.get_objects() if type(item) is ModuleType)
            for module in modules:
                if module.__name__ in lost and module.__spec__ is not None:
                    sys.modules.setdefault(module.__name__, module)


def pack_import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import as `__import__` does, for the modules of packs."""
    if level == 0 and is_host(name):
        module = host_module(name)
        if not fromlist:
            return host_module(name.partition(".")[0])
        for item in fromlist:
            find_host(f"{name}.{item}")
        return module
    if level == 0 and name in ("importlib", "importlib.util"):
        return _IMPORTLIB_UTIL if fromlist and name == "importlib.util" else _IMPORTLIB
    return builtins.__import__(name, globals, locals, fromlist or (), level)


def _import_module(name: str, package: str | None = None) -> ModuleType:
    return host_module(name) if is_host(name) else importlib.import_module(name, package)


def _reload(module: ModuleType) -> ModuleType:
    """Reload a module of a pack's own, or a library; what stands in for ComfyUI's stays."""
    standin = module.__name__.startswith(STANDINS) or module.__name__ not in sys.modules
    return module if standin else importlib.reload(module)


def _find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
    if is_host(name):
        return ModuleSpec(name, None) if find_host(name) else None
    return importlib.util.find_spec(name, package)


def _spec_from_file(name: str, location: Any = None, **more: Any) -> ModuleSpec | None:
    if more.get("loader") is None and str(location).endswith(".py"):
        more["loader"] = PackLoader(name, str(location))
    return importlib.util.spec_from_file_location(name, location, **more)


def _as_seen(module: ModuleType, **instead: object) -> ModuleType:
    """Return a module as packs see it, with parts replaced."""
    seen = ModuleType(module.__name__, module.__doc__)
    vars(seen).update(vars(module) | instead)
    return seen


_IMPORTLIB_UTIL = _as_seen(
    importlib.util, find_spec=_find_spec, spec_from_file_location=_spec_from_file
)
_IMPORTLIB = _as_seen(importlib, import_module=_import_module, reload=_reload, util=_IMPORTLIB_UTIL)
BUILTINS: dict[str, object] = {**vars(builtins), "__import__": pack_import}
"""The builtins of a pack's modules."""
