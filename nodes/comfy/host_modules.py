"""The stand-ins for ComfyUI's modules."""

import importlib
from functools import cache
from types import ModuleType

from nodes.comfy.absent_names import MODULES
from nodes.comfy.values import runtime
from nodes.comfy.values.absent import absent, absent_module, add_absent, add_all_absent
from nodes.comfy.values.errors import NoSuchHostModuleError

STANDINS = "nodes.comfy.host"
"""The package of the modules that stand in for ComfyUI's."""
_STANDINS = {
    "comfy": "namespace",
    "comfy.cli_args": "comfy.cli_args",
    "comfy.clip_vision": "comfy.clip_vision",
    "comfy.comfy_types": "comfy.comfy_types",
    "comfy.comfy_types.node_typing": "comfy.comfy_types",
    "comfy.controlnet": "comfy.controlnet",
    "comfy.latent_formats": "comfy.latent_formats",
    "comfy.lora": "comfy.lora",
    "comfy.model_base": "comfy.model_base",
    "comfy.model_management": "comfy.model_management",
    "comfy.model_patcher": "comfy.model_patcher",
    "comfy.model_sampling": "comfy.model_sampling",
    "comfy.options": "comfy.cli_args",
    "comfy.patcher_extension": "network.patcher_extension",
    "comfy.k_diffusion": "namespace",
    "comfy.k_diffusion.sampling": "sampling.k_diffusion",
    "comfy.sample": "sampling.sample",
    "comfy.sampler_helpers": "sampling.sampler_helpers",
    "comfy.samplers": "sampling.samplers",
    "comfy.sd": "comfy.sd",
    "comfy.utils": "comfy.comfy_utils",
    "comfy_api": "namespace",
    "comfy_api.feature_flags": "api.feature_flags",
    "comfy_api.input": "api.api_input",
    "comfy_api.latest": "api.latest",
    "comfy_api.latest._io": "api.api_io",
    "comfy_api.latest._ui": "api.ui",
    "comfy_api.latest.io": "api.api_io",
    "comfy_api.latest.ui": "api.ui",
    "comfy_api.util": "api.api_input",
    "comfy_api.v0_0_2": "api.latest",
    "comfy_execution": "namespace",
    "comfy_execution.graph": "execution",
    "comfy_execution.graph_utils": "execution",
    "comfy_execution.utils": "execution",
    "comfy_extras": "namespace",
    "comfy_extras.chainner_models": "namespace",
    "comfy_extras.chainner_models.model_loading": "comfy.model_loading",
    "execution": "execution",
    "folder_paths": "folder_paths",
    "latent_preview": "latent_preview",
    "node_helpers": "node_helpers",
    "nodes": "node_classes",
    "server": "prompt_server",
}
_PARTS = {
    "comfy_extras.nodes_perpneg": "sampling.perp_neg",
    "comfy.conds": "network.conds",
    "comfy.hooks": "network.hooks",
    "comfy.k_diffusion.utils": "sampling.k_diffusion_utils",
    "comfy_extras.nodes_custom_sampler": "sampling.custom_sampler",
    "comfy.ldm.common_dit": "network.common_dit",
    "comfy.ldm.modules.attention": "network.attention",
    "comfy.ops": "network.layers",
}
"""Modules that have some names of one of ComfyUI's; what becomes of the others, it decides."""
_TOPS = frozenset(name.partition(".")[0] for name in _STANDINS)
HOST_PACKAGES = (*sorted(_TOPS | {name for name in MODULES if "." not in name}), "custom_nodes")
"""The top-level modules that packs find here though they are not installed."""
_EXTRAS = "comfy_extras.nodes_"


def is_host(name: str) -> bool:
    """Return True if a module's name is one of ComfyUI's."""
    return name.partition(".")[0] in _TOPS or name in MODULES


def host_module(name: str) -> ModuleType:
    """Return the stand-in for a module of ComfyUI's.

    Its `__file__` lies where packs look for ComfyUI's folder: they find `input` beside it, and
    write beside it what they mean to put there.

    Raises:
        NoSuchHostModuleError: there is none.
    """
    found = find_host(name)
    if found is None:
        raise NoSuchHostModuleError(name)
    place = runtime.current().home.joinpath(*name.split("."))
    found.__file__ = str(place / "__init__.py" if hasattr(found, "__path__") else f"{place}.py")
    return found


@cache
def find_host(name: str) -> ModuleType | None:
    """Return a module's stand-in, set as an attribute of its parent; None if there is none."""
    module = _make(name)
    if module is None:
        return None
    parent, _, own = name.rpartition(".")
    above = find_host(parent) if parent else None
    if above is not None and own not in vars(above):
        setattr(above, own, module)
    return module


def _make(name: str) -> ModuleType | None:
    if name.startswith(_EXTRAS) and name.count(".") == 1:
        return _offering_nodes(name)
    standin = _STANDINS.get(name)
    if standin == "namespace":
        return _namespace(name)
    if standin is None:
        return _partial(name) if name in MODULES else None
    module = importlib.import_module(f"{STANDINS}.{standin}")
    add_absent(module, name)
    if name in MODULES:
        add_all_absent(module, name, find_host)
    return module


def _partial(name: str) -> ModuleType:
    """Make a module with the names that there are; all others are absent."""
    module = absent_module(name, find_host)
    vars(module).update(_part(name))
    return module


def _part(name: str) -> dict[str, object]:
    """Return the names of a module that there are."""
    if name not in _PARTS:
        return {}
    part = vars(importlib.import_module(f"{STANDINS}.{_PARTS[name]}"))
    names: list[str] = part.get("__all__") or [own for own in part if not own.startswith("_")]
    return {own: part[own] for own in names}


def _namespace(name: str) -> ModuleType:
    """Make a package that imports its modules at first access."""
    module = ModuleType(name)

    def attribute(own: str) -> ModuleType:
        found = find_host(f"{name}.{own}")
        if found is None:
            raise AttributeError(own)
        return found

    vars(module).update(__path__=[], __getattr__=attribute)
    return module


def _offering_nodes(name: str) -> ModuleType:
    """Make a module with the names that there are, and the classes of our node types.

    Any other is absent.
    """
    from nodes.comfy.host.node_classes import class_of  # Here: it imports this module's users.

    def attribute(own: str) -> object:
        try:
            return class_of(own)
        except AttributeError:
            if own.startswith("__"):
                raise
        return absent(f"{name}.{own}")

    module = ModuleType(name)
    vars(module).update(_part(name), __getattr__=attribute)
    return module
