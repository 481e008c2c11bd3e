"""Nodes that patch a model otherwise than by a LoRA: quantization, style, ControlNets."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Name, Optional, Step
from nodegraph.definition.node import node
from nodes.builtin.conditioning.controlnets import control_hint
from nodes.builtin.inputs import Fraction
from nodes.builtin.model.errors import UnreadMaskError
from nodes.models.adapters.controlnet import NetControl
from nodes.models.adapters.style import (
    ModelPatchHandle,
    SteeringPatch,
    StyleTokens,
    open_model_patch,
)
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.networks.factory import network_class
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.patches.quantized import Scheme, quantized_patch
from nodes.values import Image, Mask, SeenPictures


@node(
    "ModelPatchLoader",
    category="advanced/loaders",
    experimental=True,
    preflight="nodes.preflight.models:model_patch",
)
def model_patch_loader(
    name: Annotated[str, ModelFile("model_patches")], ctx: Context
) -> ModelPatchHandle:
    """Open a model patch that is no LoRA: USO's projector, or a ControlNet.

    Of ControlNets "Fun Union" for Z-Image and DiffSynth-Studio's for Qwen-Image are read.
    """
    path = ctx.files.model("model_patches", name)
    return open_model_patch(path, ctx.files.identity(path), ctx.models)


@node("USOStyleReference", category="advanced/model_patches/flux", experimental=True)
def uso_style_reference(
    model: ModelHandle, model_patch: ModelPatchHandle, clip_vision_output: SeenPictures
) -> ModelHandle:
    """Follow the style of an image, with USO's projector and LoRA on FLUX.1 dev.

    The image must be encoded by SigLIP so400m; several can be chained.
    """
    config, found = model.model.network.spec.config, model_patch.network.spec.config.get("width")
    heads = config.get("num_attention_heads")
    reads = network_class(model.model.network.spec.kind).reads_projected
    wide = heads * config["attention_head_dim"] if reads else 0
    if wide != found:
        raise ModelMismatchError(model_patch.network.header.path, code="model_patch_mismatch")
    tokens = StyleTokens(model_patch.tokens(clip_vision_output))
    return replace(model, injections=(*model.injections, tokens))


@node("QwenImageDiffsynthControlnet", category="advanced/loaders/qwen", experimental=True)
def qwen_image_diffsynth_controlnet(  # noqa: PLR0917 - the node has as many
    model: ModelHandle,
    model_patch: ModelPatchHandle,
    vae: VaeHandle,
    image: Image,
    strength: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
    mask: Mask | None = None,
    start_percent: Annotated[Fraction, Optional()] = 0.0,
    end_percent: Annotated[Fraction, Optional()] = 1.0,
) -> ModelHandle:
    """Steer Qwen-Image or Z-Image by a control image, with a ControlNet that is a model patch.

    Edges or depth, for Z-Image also a pose. The image is cropped and scaled to the latent's size.
    It steers both prompts, from `start_percent` to `end_percent` of the denoising; several can be
    chained and add up. With Qwen-Image's ControlNet for inpainting, the masked part of the image is
    filled; no other reads a mask.
    """
    path = model_patch.network.header.path
    if model_patch.control is None:
        raise ModelMismatchError(path, code="model_patch_mismatch")
    if mask is not None and not model_patch.control.spec.masked:
        raise UnreadMaskError(path)
    if strength == 0:
        return model
    hint = control_hint(model_patch.control, image, vae, mask)
    control = NetControl(model_patch.control, hint, strength, start_percent, end_percent)
    control.check(model.model.network.spec.config)
    return replace(model, injections=(*model.injections, SteeringPatch(control)))


@node("ModelAttentionBackend", category="advanced/model", display_name="Model Attention Backend")
def model_attention_backend(
    model: ModelHandle,
    attention: Literal["pytorch attention", "comfy kitchen attention"] = "pytorch attention",
    *,
    ctx: Context,
) -> Annotated[ModelHandle, Name("model")]:
    """Ask for a way to compute attention; the model stays as it is.

    nodegraph's setting `attention` chooses it for all models. Kernels of Comfy Kitchen are not
    there; ComfyUI, too, computes without them where it has none.
    """
    if attention == "comfy kitchen attention":
        ctx.notice("comfy kitchen attention is not there; the setting `attention` holds.")
    return model


@node("QuantizeModel", category="advanced/model")
def quantize_model(model: ModelHandle, scheme: Scheme = "int8_weight_only") -> ModelHandle:
    """Quantize the matrices of a model's blocks to 8 or 4 bits, with torchao (extra `quant`).

    `weight_only` unpacks them when they are used, `dynamic` multiplies in 8 bits. LoRAs applied
    before are quantized with the model; matrices that later ones change are in full precision
    again. Four bits need a GPU that torchao's kernels support.
    """
    return model.with_patch(quantized_patch(scheme, model.model.network))
