"""The kind of a model as packs ask for it: by classes of ComfyUI's, and by its configuration."""

from functools import cache
from typing import Any

from nodes.comfy.values.absent import absent
from nodes.models.families.base.spec import ComfyNames, FlowRules, ModelSpec
from nodes.models.families.registry import families


def names_of(spec: ModelSpec) -> ComfyNames:
    """Return a model's classes in ComfyUI; a family that it has not has the plainest."""
    own = (family.comfy(spec) for family in families() if family.name == spec.family)
    return next(own, ComfyNames())


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
    made: Any = object.__new__(_config_class(names_of(spec).config))
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
    image_model = names_of(spec).image_model
    if image_model:
        return {
            "image_model": image_model,
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
