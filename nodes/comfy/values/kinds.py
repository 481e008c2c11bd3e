"""The kind of a model as packs ask for it: by classes of ComfyUI's, and by its configuration."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from nodes.comfy.values.absent import absent
from nodes.models.families.base.spec import FlowRules, ModelSpec

_REFINERS_TEXT = 1280
"""The width of the text that the refiner of SDXL reads; the base model's is 2048."""


class Kind(NamedTuple):
    """The names of a model's classes in `comfy.model_base` and `comfy.supported_models`."""

    model: str
    config: str


def kind_of(spec: ModelSpec) -> Kind:
    """Return the kind of a model; a family that ComfyUI knows no class for has the plainest."""
    config = spec.network.config
    if spec.family == "sdxl" and config["cross_attention_dim"] == _REFINERS_TEXT:
        return Kind("SDXLRefiner", "SDXLRefiner")
    if spec.family == "sd2" and spec.unclip:
        return Kind("SD21UNCLIP", "SD21UnclipH")
    if spec.family == "flux" and not config.get("guidance_embeds"):
        return Kind("Flux", "FluxSchnell")
    return _KINDS.get(spec.family, Kind("BaseModel", "BASE"))


_KINDS: Mapping[str, Kind] = {
    "sd15": Kind("BaseModel", "SD15"),
    "sd2": Kind("BaseModel", "SD20"),
    "sdxl": Kind("SDXL", "SDXL"),
    "sd3": Kind("SD3", "SD3"),
    "flux": Kind("Flux", "Flux"),
}


@cache
def class_for(own: type, name: str) -> type:
    """Return a class of ours that packs also take for one of `comfy.model_base`.

    Its objects are made without calling it: the names that it stands for refuse that.
    """
    theirs = dict.fromkeys((name, "BaseModel"))
    bases = (own, *(absent(f"comfy.model_base.{each}") for each in theirs))
    return type(bases[1])(name, bases, {"__module__": "comfy.model_base"})


def config_of(spec: ModelSpec, latent_format: Any) -> Any:
    """Return `model_config`: an object of the class in `comfy.supported_models`.

    It has the settings of the network that packs look for, of the noise, and the latent format.
    """
    made: Any = object.__new__(_config_class(kind_of(spec).config))
    made.unet_config = _network_settings(spec)
    made.sampling_settings = (
        {"shift": spec.noise.shift} if isinstance(spec.noise, FlowRules) else {}
    )
    made.latent_format = latent_format
    made.unet_extra_config = {}
    made.supported_inference_dtypes = []
    made.scaled_fp8 = made.custom_operations = None
    return made


@cache
def _config_class(name: str) -> type:
    base = absent(
        "comfy.supported_models_base.BASE" if name == "BASE" else f"comfy.supported_models.{name}"
    )
    return type(base)(name, (base,), {"__module__": "comfy.supported_models"})


def _network_settings(spec: ModelSpec) -> dict[str, Any]:
    config = spec.network.config
    if spec.family in _IMAGE_MODELS:
        return {
            "image_model": _IMAGE_MODELS[spec.family],
            "in_channels": spec.latent.channels,
            "guidance_embed": bool(config.get("guidance_embeds")),
        }
    if "block_out_channels" not in config:
        return {"in_channels": spec.latent.channels}
    widths = config["block_out_channels"]
    return {
        "in_channels": config["in_channels"],
        "out_channels": config["out_channels"],
        "model_channels": widths[0],
        "channel_mult": [width // widths[0] for width in widths],
        "context_dim": config["cross_attention_dim"],
        "use_linear_in_transformer": config["use_linear_projection"],
        "num_res_blocks": [config["layers_per_block"]] * len(widths),
    }


_IMAGE_MODELS = {"flux": "flux"}
