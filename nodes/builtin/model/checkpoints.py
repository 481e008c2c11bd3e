"""Nodes that open model files; the weights are read when they are first used."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices, ModelFile, Pairs
from nodegraph.definition.node import node
from nodes.models.families.base.vaes.tiny_vae import FOLDER, KNOWN
from nodes.models.families.original_config import predicts_v
from nodes.models.loading.checkpoint import open_checkpoint, open_model, open_vae, pixel_vae
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.tiny_vae import open_pair
from nodes.models.networks.modifiers.fp8_matmul import Fp8Matmul
from nodes.sampling.noise_schedule.parameterization import Discrete

PIXEL_SPACE = "pixel_space"
WeightDtype: TypeAlias = Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]
_NARROW: Mapping[WeightDtype, torch.dtype] = {
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}


class CheckpointParts(NamedTuple):
    """The parts of a checkpoint."""

    MODEL: ModelHandle
    CLIP: ClipHandle
    VAE: VaeHandle


@node(
    "CheckpointLoaderSimple",
    category="loaders",
    display_name="Load Checkpoint",
    preflight="nodes.preflight.models:checkpoint",
)
def checkpoint_loader_simple(
    ckpt_name: Annotated[str, ModelFile("checkpoints")], ctx: Context
) -> CheckpointParts:
    """Open a checkpoint: the model, the text encoder and the VAE that one file holds.

    A reference `hf://owner/name` may also name a diffusers folder.
    """
    return _open_checkpoint(ctx, "checkpoints", ckpt_name)


@node(
    "CheckpointLoader",
    category="advanced/loaders",
    display_name="Load Checkpoint With Config (DEPRECATED)",
    preflight="nodes.preflight.models:configured_checkpoint",
    deprecated=True,
)
def checkpoint_loader(
    config_name: Annotated[str, ModelFile("configs")],
    ckpt_name: Annotated[str, ModelFile("checkpoints")],
    ctx: Context,
) -> CheckpointParts:
    """Open a checkpoint with a configuration file in the original format.

    The file only decides whether the model predicts v; the rest is read from the weights.
    """
    loaded = _open_checkpoint(ctx, "checkpoints", ckpt_name)
    if not predicts_v(ctx.files.model("configs", config_name)):
        return loaded
    return loaded._replace(MODEL=replace(loaded.MODEL, sampling=Discrete.scaled_linear("v")))


@node(
    "DiffusersLoader",
    category="advanced/loaders/deprecated",
    preflight="nodes.preflight.models:diffusers_folder",
)
def diffusers_loader(
    model_path: Annotated[str, ModelFile("diffusers")], ctx: Context
) -> CheckpointParts:
    """Open a diffusers folder: the model, the text encoders and the VAE.

    The weights are safetensors, in one file or in shards, of any variant (`fp16`).
    """
    return _open_checkpoint(ctx, "diffusers", model_path)


@node(
    "UNETLoader",
    category="advanced/loaders",
    display_name="Load Diffusion Model",
    preflight="nodes.preflight.models:diffusion_model",
)
def unet_loader(
    unet_name: Annotated[str, ModelFile("diffusion_models")],
    weight_dtype: WeightDtype,
    ctx: Context,
) -> ModelHandle:
    """Open a diffusion model's file, which may hold nothing else.

    The fp8 choices round the weights to 8 bits, which takes a quarter of the memory of float32;
    each layer is cast when it is used. `fp8_e4m3fn_fast` rounds the inputs of layers, too, and
    multiplies in 8 bits where the GPU can (NVIDIA's since Ada): faster, less exact. Elsewhere,
    and for layers that a LoRA changes, it is the same as `fp8_e4m3fn`.
    """
    path = ctx.files.model("diffusion_models", unet_name)
    model = open_model(path, ctx.files.identity(path), ctx.models, _NARROW.get(weight_dtype))
    fast = weight_dtype == "fp8_e4m3fn_fast"
    return ModelHandle(model, alterations=(Fp8Matmul(),) if fast else ())


@node(
    "VAELoader",
    category="loaders",
    display_name="Load VAE",
    preflight="nodes.preflight.models:lone_vae",
)
def vae_loader(
    vae_name: Annotated[
        str, Choices((PIXEL_SPACE,)), ModelFile("vae"), Pairs(FOLDER, tuple(KNOWN))
    ],
    ctx: Context,
) -> VaeHandle:
    """Open a VAE, from its own file or from a checkpoint.

    `pixel_space` is for models whose latents are images. `taesd` (SD 1 and 2), `taesdxl`,
    `taesd3` and `taef1` (FLUX.1) are small and fast; each needs its two files in `vae_approx`.
    """
    if vae_name == PIXEL_SPACE:
        return VaeHandle(pixel_vae())
    if vae_name in KNOWN:
        return VaeHandle(open_pair(vae_name, ctx.files, ctx.models))
    path = ctx.files.model("vae", vae_name)
    return VaeHandle(open_vae(path, ctx.files.identity(path), ctx.models))


def _open_checkpoint(ctx: Context, folder: str, name: str) -> CheckpointParts:
    path = ctx.files.model(folder, name)
    opened = open_checkpoint(path, ctx.files.identity(path), ctx.models)
    return CheckpointParts(
        ModelHandle(opened.model), ClipHandle(opened.text), VaeHandle(opened.vae)
    )
