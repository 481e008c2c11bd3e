"""Nodes that steer the model by an image: ControlNets."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, NamedTuple

from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Choices, ModelFile
from nodegraph.definition.node import node
from nodes.builtin.inputs import Fraction, Strength
from nodes.models.adapters.controlnet import ControlNetHandle, NetControl
from nodes.models.families.controlnets.registry import DIFFERENCE, control_spec
from nodes.models.families.controlnets.spec import KINDS, Change
from nodes.models.families.errors import UnknownTypeError
from nodes.models.loading.checkpoint import open_network
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.networks.base.control_hint import ControlHint
from nodes.models.networks.base.errors import ChannelMismatchError, MissingInputError
from nodes.models.patches.merge import DifferencePatch
from nodes.models.weights.header import read_header
from nodes.values import Conditioning, Image, Mask

File = Annotated[str, ModelFile("controlnet")]


class ConditioningPair(NamedTuple):
    """A positive and a negative conditioning with a ControlNet."""

    positive: Conditioning
    negative: Conditioning


@node(
    "ControlNetLoader",
    category="loaders",
    display_name="Load ControlNet Model",
    preflight="nodes.preflight.models:controlnet",
)
def control_net_loader(control_net_name: File, ctx: Context) -> ControlNetHandle:
    """Open a ControlNet, in the original layout or in diffusers'.

    It must have been made for the same family as the model that it is applied to.
    """
    handle = _open_controlnet(control_net_name, ctx)
    header = handle.network.header
    if DIFFERENCE in header:
        raise MissingInputError(
            code="difference_controlnet",
            need=f"{header.path.name!r} holds the difference between a ControlNet and a model",
            missing="no model",
            hint="Load it with DiffControlNetLoader, and give that the model.",
        )
    return handle


@node(
    "DiffControlNetLoader",
    category="loaders",
    display_name="Load ControlNet Model (diff)",
    preflight="nodes.preflight.models:controlnet",
)
def diff_control_net_loader(
    model: ModelHandle, control_net_name: File, ctx: Context
) -> ControlNetHandle:
    """Open a ControlNet whose file holds only the difference to a model's weights.

    Files with complete weights are opened as they are.
    """
    handle = _open_controlnet(control_net_name, ctx)
    if DIFFERENCE not in handle.network.header:
        return handle
    return replace(handle, patches=(DifferencePatch(model.model.network, model.patches),))


@node("SetUnionControlNetType", category="conditioning/controlnet")
def set_union_control_net_type(
    control_net: ControlNetHandle,
    type: Annotated[str, Choices(("auto", *KINDS))],
) -> ControlNetHandle:
    """Choose the kind of control image for a union ControlNet, which knows several.

    `auto` sets none, which is right for a ControlNet of one kind only.
    """
    if type == "auto":
        return replace(control_net, kind=None)
    kinds = control_net.spec.kinds
    if type not in kinds:
        name = control_net.network.header.path.name
        raise UnknownTypeError(
            code="unknown_control_type",
            message=f"the ControlNet {name!r} knows no hint {type!r}.",
            known=list(kinds),
        )
    return replace(control_net, kind=kinds[type])


@node(
    "ControlNetApply",
    category="conditioning/controlnet",
    display_name="Apply ControlNet (OLD)",
    deprecated=True,
)
def control_net_apply(
    conditioning: Conditioning,
    control_net: ControlNetHandle,
    image: Image,
    strength: Strength = 1.0,
) -> Conditioning:
    """Steer the model by an image while it follows this prompt.

    The negative prompt uses the ControlNet too, unless it has one of its own.
    """
    if strength == 0:
        return conditioning
    control = NetControl(
        control_net, control_hint(control_net, image), strength, applies_to_uncond=True
    )
    return _add_control(conditioning, control)


@node(
    "ControlNetApplyAdvanced", category="conditioning/controlnet", display_name="Apply ControlNet"
)
def control_net_apply_advanced(  # noqa: PLR0917 - the node has as many
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNetHandle,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 1.0,
    vae: VaeHandle | None = None,
) -> ConditioningPair:
    """Steer the model by a control image (edges, depth, a pose); several can be chained and add up.

    It applies from `start_percent` to `end_percent` of the denoising: 0 is pure noise, 1 the
    finished image. The control image is cropped and scaled to the latent's size. ControlNets for
    SD3, FLUX and Qwen-Image read it as a latent and need the model's VAE for that; the others do
    not.
    """
    hint = control_hint(control_net, image, vae)
    return _apply_control(
        positive, negative, control_net, hint, (strength, start_percent, end_percent)
    )


@node(
    "ControlNetApplySD3",
    category="conditioning/controlnet",
    display_name="Apply Controlnet with VAE",
    deprecated=True,
)
def control_net_apply_sd3(  # noqa: PLR0917 - the node has as many
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNetHandle,
    vae: VaeHandle,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 1.0,
) -> ConditioningPair:
    """Steer the model by a control image that is read as a latent; see Apply ControlNet."""
    hint = control_hint(control_net, image, vae)
    return _apply_control(
        positive, negative, control_net, hint, (strength, start_percent, end_percent)
    )


@node("ControlNetInpaintingAliMamaApply", category="conditioning/controlnet")
def control_net_inpainting_apply(  # noqa: PLR0917 - the node has as many
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNetHandle,
    vae: VaeHandle,
    image: Image,
    mask: Mask,
    strength: Strength = 1.0,
    start_percent: Fraction = 0.0,
    end_percent: Fraction = 1.0,
) -> ConditioningPair:
    """Fill the masked part of an image with an inpainting ControlNet, so that it fits the rest.

    AliMama's ControlNets for SD3 and FLUX, and InstantX's for Qwen-Image, read the mask too.
    Others read the image only.
    """
    hint = control_hint(control_net, image, vae, mask if control_net.spec.masked else None)
    return _apply_control(
        positive, negative, control_net, hint, (strength, start_percent, end_percent)
    )


def _open_controlnet(name: str, ctx: Context) -> ControlNetHandle:
    path = ctx.files.model("controlnet", name)
    header = read_header(path)
    spec = control_spec(header)
    network = open_network(ctx.models, header, ctx.files.identity(path), spec.network)
    return ControlNetHandle(network, spec)


def control_hint(
    control_net: ControlNetHandle,
    image: Image,
    vae: VaeHandle | None = None,
    mask: Mask | None = None,
) -> ControlHint:
    """Return the control image in the form that a ControlNet reads.

    Raises:
        NodeGraphError: the VAE or the mask that it needs is missing, or the VAE does not fit.
    """
    spec, path = control_net.spec, control_net.network.header.path
    pixels = _CHANGES[spec.change](image[..., :3].movedim(-1, 1))
    if spec.reads == "pixels":
        return ControlHint(pixels)
    if spec.masked and mask is None:
        raise MissingInputError(
            code="hint_needs_mask",
            need=f"the ControlNet {path.name!r} is made for inpainting",
            missing="no mask",
            hint="Use ControlNetInpaintingAliMamaApply; for a model patch, connect the mask to it.",
        )
    if vae is None:
        raise MissingInputError(
            code="hint_needs_vae",
            need=f"the ControlNet {path.name!r} reads latents",
            missing="no VAE to encode the image",
            hint="Use ControlNetApplyAdvanced, and connect the model's VAE to it.",
        )
    if vae.channels != spec.channels:
        raise ChannelMismatchError(
            code="hint_channels",
            what="a latent of the VAE",
            found=vae.channels,
            expected=spec.channels,
            reader=f"the ControlNet {path.name!r}",
            hint="Connect the VAE that belongs to the model.",
        )
    return ControlHint(pixels, vae, None if mask is None else mask.reshape(-1, 1, *mask.shape[-2:]))


def _apply_control(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNetHandle,
    hint: ControlHint,
    how: tuple[float, float, float],
) -> ConditioningPair:
    """Return both conditionings with a ControlNet; `how` is its strength, start and end."""
    if how[0] == 0:
        return ConditioningPair(positive, negative)
    control = NetControl(control_net, hint, *how)
    return ConditioningPair(_add_control(positive, control), _add_control(negative, control))


def _add_control(conditioning: Conditioning, control: NetControl) -> Conditioning:
    conds = (replace(cond, controls=(*cond.controls, control)) for cond in conditioning.conds)
    return Conditioning(tuple(conds))


def _identity(image: Tensor) -> Tensor:
    return image


def _quantize_edges(image: Tensor) -> Tensor:
    """Scale an image to [0, 255], which SD3.5's ControlNet for edges was trained on."""
    return (image * 255 * 0.5 + 0.5 + 1) / 2


def _invert(image: Tensor) -> Tensor:
    return 1 - image


_CHANGES: Mapping[Change, Callable[[Tensor], Tensor]] = {
    "none": _identity,
    "edges": _quantize_edges,
    "inverted": _invert,
}
