"""`nodes` and `comfy_extras`: the built-in node types as classes for packs."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any, ClassVar, cast

from nodegraph.definition.node import NodeType
from nodegraph.graph.dynamic_inputs import flatten, inputs_for
from nodegraph.graph.results import Ui
from nodegraph.packs.object_info import input_info
from nodegraph.packs.registry import Registry
from nodes.comfy.host.folder_paths import FileList
from nodes.comfy.host.methods import METHODS
from nodes.comfy.host.other_packs import import_whole, names_of_packs, pack_with
from nodes.comfy.values import runtime
from nodes.comfy.values.convert import from_pack, to_pack
from nodes.imaging.resize import ImageMethod, LatentMethod

MAX_RESOLUTION = 16384


def _registry() -> Registry:
    return runtime.current().registry


def class_of(name: str) -> type:
    """Return the class of a built-in node type.

    Raises:
        AttributeError: there is no such node type.
    """
    if name in ("SaveImage", "PreviewImage"):
        return {"SaveImage": SaveImage, "PreviewImage": PreviewImage}[name]
    if name.startswith("__") or name not in _registry().catalog:
        raise AttributeError(name)
    return _make_class(name)


@cache
def _make_class(name: str) -> type:
    spec = _registry().spec(name)
    function, order = METHODS.get(name, ("execute", tuple(item.name for item in spec.inputs)))

    def method(_self: object, *args: object, **kwargs: object) -> Any:
        return call(name, {**dict(zip(order, args, strict=False)), **kwargs})

    def input_types(_kind: type) -> dict[str, Any]:
        groups: dict[str, dict[str, Any]] = {"required": {}, "optional": {}}
        for item in spec.inputs:
            group = groups["required" if item.required else "optional"]
            kind, options = input_info(item, runtime.files())
            if item.model_folder:
                names = runtime.files().model_names(item.model_folder)
                kind = FileList.with_choices(item.model_folder, names, list(item.choices or ()))
            group[item.name] = (kind, options)
        return groups

    attributes: dict[str, Any] = {
        "INPUT_TYPES": classmethod(input_types),
        "RETURN_TYPES": tuple(item.socket for item in spec.outputs),
        "RETURN_NAMES": tuple(item.name for item in spec.outputs),
        "OUTPUT_NODE": spec.output_node,
        "FUNCTION": function,
        "CATEGORY": spec.category,
        "DESCRIPTION": spec.description,
        function: method,
        "execute": method,
        **_methods_of(name),
    }
    return type(name, (), attributes)


def _methods_of(name: str) -> dict[str, object]:
    """Return the further attributes of a class."""
    scales = {"ImageScale": ImageMethod, "ImageScaleBy": ImageMethod}
    scales |= {"LatentUpscale": LatentMethod, "LatentUpscaleBy": LatentMethod}
    if name not in scales:
        return {}
    methods = list(scales[name].__args__)
    return {"upscale_methods": methods, "crop_methods": ["disabled", "center"]}


def call(name: str, inputs: Mapping[str, object]) -> Any:
    """Call a built-in node type with ComfyUI's values, and return ComfyUI's values."""
    kind: NodeType[..., Any] = _registry().find(name)
    arguments: dict[str, object] = {}
    given = flatten(kind.spec.inputs, inputs)
    for item in inputs_for(kind.spec.inputs, given):
        if item.name in given and (given[item.name] is not None or not item.has_default):
            arguments[item.name] = from_pack(given[item.name], item.socket)
        elif item.has_default:
            arguments[item.name] = item.default
    arguments = kind.arguments_of(arguments)
    if kind.context_name:
        arguments[kind.context_name] = runtime.context()
    returned = kind(**arguments)
    sockets = [output.socket for output in kind.spec.outputs]
    if isinstance(returned, Ui):
        return {"ui": returned.as_dict(), "result": _as_results(returned.outputs, sockets)}
    several = isinstance(returned, tuple) and (len(sockets) > 1 or hasattr(returned, "_fields"))
    return _as_results(cast("tuple[object, ...]", returned) if several else (returned,), sockets)


def _as_results(outputs: Sequence[object], sockets: Sequence[str]) -> tuple[object, ...]:
    """Convert a node's outputs to ComfyUI's form."""
    pairs = zip_longest(outputs, sockets[: len(outputs)], fillvalue="*")
    return tuple(to_pack(value, str(socket)) for value, socket in pairs)


class SaveImage:
    """Saves images; packs set `type`, `prefix_append` and `compress_level` on subclasses."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ()
    FUNCTION: ClassVar = "save_images"
    OUTPUT_NODE: ClassVar = True
    CATEGORY: ClassVar = "image"

    def __init__(self) -> None:
        self.output_dir = str(runtime.files().folders.output)
        self.type = "output"
        self.prefix_append = ""
        self.compress_level = 4

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs: images and a file name prefix."""
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save_images(
        self,
        images: Any,
        filename_prefix: str = "ComfyUI",
        prompt: object = None,
        extra_pnginfo: object = None,
    ) -> dict[str, Any]:
        """Save images; the workflow in the files is the run's own."""
        del prompt, extra_pnginfo
        if self.type == "temp":
            return call("PreviewImage", {"images": images})
        prefix = filename_prefix + self.prefix_append
        return call("SaveImage", {"images": images, "filename_prefix": prefix})


class PreviewImage(SaveImage):
    """Shows images without keeping them."""

    def __init__(self) -> None:
        super().__init__()
        self.output_dir = str(runtime.files().folders.temp)
        self.type = "temp"
        self.compress_level = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs: images."""
        return {
            "required": {"images": ("IMAGE",)},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }


class _Classes(MutableMapping[str, Any]):
    """A mapping of node types' names to their classes: built-in ones, and those of packs.

    A look-up imports the pack that has the class; names are known without.
    """

    def __init__(self) -> None:
        self._of_packs: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        ours = _registry().catalog.get(name)
        if ours is None or ours.gives_way:
            pack = pack_with(name)
            if pack is not None:
                import_whole(pack)
            if ours is None or name in self._of_packs:
                return self._of_packs[name]
        return class_of(name)

    def __contains__(self, name: object) -> bool:
        known = name in self._of_packs or name in _registry().catalog
        return known or (isinstance(name, str) and pack_with(name) is not None)

    def __setitem__(self, name: str, kind: Any) -> None:
        self._of_packs[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._of_packs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*_registry().catalog, *self._of_packs, *names_of_packs()]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def of_module(self, module: str) -> dict[str, Any]:
        """Return those that the modules of a pack have added."""
        return {
            name: kind
            for name, kind in self._of_packs.items()
            if f"{kind.__module__}.".startswith(f"{module}.")
        }

    def forget(self, module: str) -> None:
        """Forget those of a pack, which is about to be imported again."""
        for name in self.of_module(module):
            del self._of_packs[name]


NODE_CLASS_MAPPINGS = _Classes()
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
EXTENSION_WEB_DIRS: dict[str, str] = {}


def common_ksampler(
    model: object,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: object,
    negative: object,
    latent: object,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
) -> Any:
    """Denoise a latent, as KSampler and KSamplerAdvanced do."""
    inputs: dict[str, object] = {
        "model": model,
        "steps": steps,
        "cfg": cfg,
        "sampler_name": sampler_name,
        "scheduler": scheduler,
        "positive": positive,
        "negative": negative,
        "latent_image": latent,
    }
    if not disable_noise and start_step is None and last_step is None:
        return call("KSampler", {**inputs, "seed": seed, "denoise": denoise})
    part: dict[str, object] = {
        "add_noise": "disable" if disable_noise else "enable",
        "noise_seed": seed,
        "start_at_step": start_step or 0,
        "end_at_step": 10000 if last_step is None else last_step,
        "return_with_leftover_noise": "disable" if force_full_denoise else "enable",
    }
    return call("KSamplerAdvanced", {**inputs, **part})


def before_node_execution() -> None:
    """Stop here if the run was cancelled."""
    running = runtime.context()
    if running:
        running.check_cancelled()


def interrupt_processing(value: bool = True) -> None:
    """Do nothing: a pack can not cancel a run."""
    del value


def __getattr__(name: str) -> Callable[..., Any]:
    """Return the class of a built-in node type."""
    return class_of(name)
