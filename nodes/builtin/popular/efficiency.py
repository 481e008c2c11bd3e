"""Node types of Efficiency Nodes: a loader with its prompts, and a sampler with its VAE."""

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices, ModelFile, Name, Optional, Widget
from nodegraph.definition.node import node
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import Socket
from nodes.builtin.conditioning.prompts import clip_set_last_layer, clip_text_encode
from nodes.builtin.image.files import show_images
from nodes.builtin.inputs import BatchSize, Cfg, LatentSide, Prompt, Ratio, Steps
from nodes.builtin.latent.latents import empty_latent_image
from nodes.builtin.latent.vae import vae_decode, vae_decode_tiled
from nodes.builtin.model.checkpoints import checkpoint_loader_simple, vae_loader
from nodes.builtin.model.lora import Strength
from nodes.builtin.popular.comfyroll import NONE, LoraName, LoraStack, apply_stack
from nodes.builtin.popular.viewers import fresh_if_random, rgthree_seed
from nodes.builtin.sampling.ksampler import SamplerName, Scheduler, ksampler
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.text.textual_inversion import embedding_hashes
from nodes.values import Conditioning, Image, Latent

BAKED = "Baked VAE"
Normalization: TypeAlias = Literal["none", "mean", "length", "length+mean"]
Interpretation: TypeAlias = Literal["comfy", "A1111", "compel", "comfy++", "down_weight"]
Preview: TypeAlias = Literal["auto", "latent2rgb", "taesd", "vae_decoded_only", "none"]
Decoding: TypeAlias = Literal["true", "true (tiled)", "false", "output only", "output only (tiled)"]
SeedOrRandom = Annotated[int, Field(ge=-1, le=2**64 - 1), Widget(control_after_generate=True)]
Dependencies: TypeAlias = Annotated[tuple[str, ...], Socket("DEPENDENCIES")]
Positive = Annotated[Conditioning, Name("CONDITIONING+")]
Negative = Annotated[Conditioning, Name("CONDITIONING-")]

_CATEGORY = "popular/Efficiency"
_HIDDEN = ("prompt", "extra_pnginfo")
_BLANK = (1, 64, 64, 3)


class LoadedParts(NamedTuple):
    """The outputs of `Efficient Loader`."""

    MODEL: ModelHandle
    positive: Positive
    negative: Negative
    LATENT: Latent
    VAE: VaeHandle
    CLIP: ClipHandle
    DEPENDENCIES: Dependencies


class SampledParts(NamedTuple):
    """The outputs of `KSampler (Efficient)`."""

    MODEL: ModelHandle
    positive: Positive
    negative: Negative
    LATENT: Latent
    VAE: VaeHandle | None
    IMAGE: Image


@node(
    "Efficient Loader",
    category=_CATEGORY,
    preflight="nodes.preflight.models:checkpoint",
    state=embedding_hashes("positive", "negative"),
    gives_way=True,
)
def efficient_loader(
    *,
    ckpt_name: Annotated[str, ModelFile("checkpoints")],
    vae_name: Annotated[str, Choices((BAKED,)), ModelFile("vae")],
    clip_skip: Annotated[int, Field(ge=-24, le=-1)] = -1,
    lora_name: LoraName,
    lora_model_strength: Strength = 1.0,
    lora_clip_strength: Strength = 1.0,
    positive: Prompt = "CLIP_POSITIVE",
    negative: Prompt = "CLIP_NEGATIVE",
    token_normalization: Normalization,
    weight_interpretation: Interpretation,
    empty_latent_width: LatentSide = 512,
    empty_latent_height: LatentSide = 512,
    batch_size: BatchSize = 1,
    lora_stack: Annotated[LoraStack | None, Optional()] = None,
    ctx: Context,
) -> LoadedParts:
    """Open a checkpoint with its VAE and LoRAs, encode both prompts, and make an empty latent.

    Weights of prompts are read as `CLIPTextEncode` reads them, whatever `token_normalization` and
    `weight_interpretation` are; a notice says so where that matters.
    """
    model, clip, vae = checkpoint_loader_simple(ckpt_name, ctx)
    loras = [*(lora_stack or ())]
    if lora_name != NONE:
        loras.insert(0, (lora_name, lora_model_strength, lora_clip_strength))
    model, clip = apply_stack(model, clip, loras, ctx)
    clip = clip_set_last_layer(clip, clip_skip)
    is_plain = token_normalization == "none" and weight_interpretation == "comfy"
    if not is_plain and any(mark in positive + negative for mark in "()"):
        ctx.notice("weights of prompts are read as ComfyUI reads them.")
    return LoadedParts(
        model,
        clip_text_encode(positive, clip, ctx),
        clip_text_encode(negative, clip, ctx),
        empty_latent_image(empty_latent_width, empty_latent_height, batch_size),
        vae if vae_name == BAKED else vae_loader(vae_name, ctx),
        clip,
        (ckpt_name, vae_name, lora_name),
    )


@node(
    "KSampler (Efficient)",
    category=_CATEGORY,
    output_node=True,
    hidden=_HIDDEN,
    state=fresh_if_random,
    gives_way=True,
)
def ksampler_efficient(
    *,
    model: ModelHandle,
    seed: SeedOrRandom = 0,
    steps: Steps = 20,
    cfg: Cfg = 7.0,
    sampler_name: SamplerName,
    scheduler: Scheduler,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Ratio = 1.0,
    preview_method: Preview,
    vae_decode: Decoding,
    optional_vae: Annotated[VaeHandle | None, Optional()] = None,
    ctx: Context,
) -> SampledParts | Ui:
    """Sample as `KSampler` does, and decode the latent if a VAE is linked.

    `vae_decode`: `true` also shows the images; without it the image is a black one of 64 pixels.
    The seed -1 draws another one each time. Previews are those of the run, whatever
    `preview_method` is; scripts are not supported.
    """
    del preview_method
    latent = ksampler(
        model=model,
        seed=rgthree_seed(seed, ctx=ctx).SEED,
        steps=steps,
        cfg=cfg,
        sampler_name=sampler_name,
        scheduler=scheduler,
        positive=positive,
        negative=negative,
        latent_image=latent_image,
        denoise=denoise,
        ctx=ctx,
    )
    images = torch.zeros(_BLANK)
    is_decoded = optional_vae is not None and vae_decode != "false"
    if optional_vae is not None and is_decoded:
        images = _decode(latent, optional_vae, ctx, tiled="tiled" in vae_decode)
    shows = is_decoded and vae_decode.startswith("true")
    outputs = SampledParts(model, positive, negative, latent, optional_vae, images)
    return replace(show_images(images, ctx) if shows else Ui(), outputs=outputs)


def _decode(latent: Latent, vae: VaeHandle, ctx: Context, *, tiled: bool) -> Image:
    return vae_decode_tiled(latent, vae, ctx) if tiled else vae_decode(latent, vae, ctx)
