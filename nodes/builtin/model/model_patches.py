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
from nodes.models.adapters.controlnet import ControlNetHandle, NetControl
from nodes.models.adapters.style import (
    ModelPatchHandle,
    SteeringPatch,
    StyleTokens,
    open_model_patch,
)
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.errors import MissingInputError
from nodes.models.networks.factory import network_class
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.patches.quantized import Scheme, quantized_patch
from nodes.values import Image, Mask, SeenPictures

_GREY = 0.5
"""The brightness that stands for the masked part, as ControlNets for Z-Image were trained."""


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


@node("ZImageFunControlnet", category="advanced/loaders/zimage", experimental=True)
def z_image_fun_controlnet(  # noqa: PLR0917 - the node has as many
    model: ModelHandle,
    model_patch: ModelPatchHandle,
    vae: VaeHandle,
    strength: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
    image: Image | None = None,
    inpaint_image: Image | None = None,
    mask: Mask | None = None,
    start_percent: Annotated[Fraction, Optional()] = 0.0,
    end_percent: Annotated[Fraction, Optional()] = 1.0,
) -> ModelHandle:
    """Steer Z-Image by a control image, fill the masked part of an image, or both.

    Edges, depth or a pose are control images. `inpaint_image` and `mask` belong together: what is
    masked is made anew, so that it fits the rest; versions 2.0 and 2.1 of the ControlNet can do
    that. All are cropped and scaled to the latent's size.
    """
    control = _fitting_control(model, model_patch)
    if strength == 0 or (image is None and inpaint_image is None and mask is None):
        return model
    fill = _fill_hint(control, vae, inpaint_image, mask)
    if image is not None:
        hint = replace(control_hint(control, image, vae), fill=fill)
    else:
        assert fill, "of three inputs one is there, and two of them come together"
        hint = replace(fill, fill=fill, follows=False)
    held = NetControl(control, hint, strength, start_percent, end_percent)
    return replace(model, injections=(*model.injections, SteeringPatch(held)))


def _fitting_control(model: ModelHandle, patch: ModelPatchHandle) -> ControlNetHandle:
    """Return a patch's ControlNet.

    Raises:
        ModelMismatchError: it has none, or one for other models.
    """
    config = model.model.network.spec.config
    if patch.control is None or not patch.control.adapter.fits(
        patch.control.spec.network.config, config
    ):
        raise ModelMismatchError(patch.network.header.path, code="model_patch_mismatch")
    return patch.control


def _fill_hint(
    control: ControlNetHandle, vae: VaeHandle, image: Image | None, mask: Mask | None
) -> ControlHint | None:
    """Return the masked picture that a ControlNet is to fill; None if there is none.

    Raises:
        UnreadMaskError: the ControlNet reads none.
        MissingInputError: there is a picture without a mask, or a mask without a picture.
    """
    if image is None and mask is None:
        return None
    if not control.spec.fills:
        raise UnreadMaskError(control.network.header.path)
    if image is None or mask is None:
        raise MissingInputError(
            code="fill_needs_both",
            need="a ControlNet fills the masked part of an image",
            missing="no mask" if mask is None else "no `inpaint_image`",
            hint="Connect both `inpaint_image` and `mask`, or neither.",
        )
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    return replace(control_hint(control, image, vae), mask=flat, hidden=_GREY)


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
