"""diffusers' own pipelines around plain networks of its classes, with the same weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from benchmarks.engines import Picture
from nodegraph.runtime.devices import default_device
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.values import Cond, Conditioning


@dataclass(frozen=True, slots=True)
class Parts:
    """What the engine made for an image."""

    model: ModelHandle
    vae: VaeHandle
    positive: Conditioning
    negative: Conditioning


def eager(picture: Picture, parts: Parts) -> Callable[[], Any]:
    """Return a function that makes a picture by diffusers' pipeline of that family.

    Args:
        picture: its size, steps and guidance.
        parts: the handles, whose weights are shared, and the encoded prompts.
    """
    network = parts.model.model.network
    denoiser = plain(network.spec, network.kept_weights(), network.placement.dtype)
    vae = plain(parts.vae.vae.network.spec, parts.vae.vae.network.kept_weights(), parts.vae.dtype)
    latents = parts.model.latent_format
    cast("Any", vae).register_to_config(
        scaling_factor=latents.scale, shift_factor=latents.shift, force_upcast=False
    )
    build = {"unet": _unet, "mmdit": _sd3, "flux": _flux}[network.spec.kind]
    pipeline, arguments = build(denoiser, vae, parts)
    pipeline.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {
        "height": picture.size,
        "width": picture.size,
        "num_inference_steps": picture.steps,
        "guidance_scale": picture.cfg,
        "output_type": "pt",
        **arguments,
    }
    return lambda: pipeline(**options)


def plain(spec: NetworkSpec, weights: Any, dtype: torch.dtype) -> nn.Module:
    """Return a network of diffusers' class with these weights, which it shares where it can."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    classes: dict[str, Any] = {
        "unet": UNet2DConditionModel,
        "mmdit": SD3Transformer2DModel,
        "flux": FluxTransformer2DModel,
        "vae": AutoencoderKL,
    }
    with torch.device("meta"):
        module = cast("nn.Module", classes[spec.kind](**spec.config))
    there = {key: weight.to(default_device(), dtype) for key, weight in weights.items()}
    module.load_state_dict(there, assign=True)
    return module.eval().requires_grad_(False)


def _unet(unet: Any, vae: nn.Module, parts: Parts) -> tuple[Any, dict[str, Any]]:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import (
        StableDiffusionXLPipeline,
    )
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    scheduler = cast("Any", EulerDiscreteScheduler)(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="trailing",
    )
    arguments = _embeds(parts, pooled=unet.config.addition_embed_type is not None)
    if unet.config.addition_embed_type is not None:
        build = cast("Any", StableDiffusionXLPipeline)
        return build(vae, None, None, None, None, unet, scheduler), arguments
    build = cast("Any", StableDiffusionPipeline)
    made = build(vae, None, None, unet, scheduler, None, None, requires_safety_checker=False)
    return made, arguments


def _sd3(transformer: nn.Module, vae: nn.Module, parts: Parts) -> tuple[Any, dict[str, Any]]:
    from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import (
        StableDiffusion3Pipeline,
    )

    build = cast("Any", StableDiffusion3Pipeline)
    made = build(transformer, _flow(3.0), vae, None, None, None, None, None, None)
    return made, _embeds(parts, pooled=True)


def _flux(transformer: nn.Module, vae: nn.Module, parts: Parts) -> tuple[Any, dict[str, Any]]:
    from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

    made = cast("Any", FluxPipeline)(_flow(1.0), vae, None, None, None, None, transformer)
    arguments = _embeds(parts, pooled=True)
    wanted = {key: value for key, value in arguments.items() if not key.startswith("negative")}
    return made, wanted | {"guidance_scale": 3.5}


def _flow(shift: float) -> Any:
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

    return cast("Any", FlowMatchEulerDiscreteScheduler)(shift=shift)


def _embeds(parts: Parts, *, pooled: bool) -> dict[str, Any]:
    """Return the encoded prompts as a pipeline takes them."""
    device, dtype = default_device(), parts.model.model.network.placement.dtype
    found: dict[str, Any] = {}
    for prefix, conditioning in (("", parts.positive), ("negative_", parts.negative)):
        cond: Cond = conditioning.conds[0]
        found[f"{prefix}prompt_embeds"] = cond.tokens.to(device, dtype)
        if pooled and cond.pooled is not None:
            found[f"{prefix}pooled_prompt_embeds"] = cond.pooled.to(device, dtype)
    return found
