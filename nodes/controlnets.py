"""Nodes that let a picture steer the model: ControlNets."""

from dataclasses import replace
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph.context import Context
from nodegraph.define import node
from nodegraph.markers import Choices, ModelFile, Step
from nodes.control_errors import DifferenceControlNetError, UnknownControlTypeError
from nodes.families.controlnet import DIFFERENCE, spec_of
from nodes.values import Conditioning, Image
from nodes.weights.checkpoint import networks
from nodes.weights.control import ControlNetHandle, Hint, NetControl
from nodes.weights.difference import DifferencePatch
from nodes.weights.handle import ModelHandle, VaeHandle
from nodes.weights.header import read_header

Strength = Annotated[float, Field(ge=0.0, le=10.0), Step(0.01)]
Percent = Annotated[float, Field(ge=0.0, le=1.0), Step(0.001)]
File = Annotated[str, ModelFile("controlnet")]
KINDS = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)
"""In the order in which union ControlNets number them."""


class Sides(NamedTuple):
    """Both conditions."""

    positive: Conditioning
    negative: Conditioning


@node(
    "ControlNetLoader",
    category="loaders",
    display_name="Load ControlNet Model",
    preflight="nodes.preflight:controlnet",
)
def control_net_loader(control_net_name: File, ctx: Context) -> ControlNetHandle:
    """Open a ControlNet, in the original layout or in diffusers'.

    It has to be made for the family of the model that it will steer.
    """
    handle = _opened(control_net_name, ctx)
    if DIFFERENCE in handle.network.header:
        raise DifferenceControlNetError(handle.network.header.path)
    return handle


@node(
    "DiffControlNetLoader",
    category="loaders",
    display_name="Load ControlNet Model (diff)",
    preflight="nodes.preflight:controlnet",
)
def diff_control_net_loader(
    model: ModelHandle, control_net_name: File, ctx: Context
) -> ControlNetHandle:
    """Open a ControlNet whose file holds only the difference to a model's own weights.

    Other ControlNets are opened as they are.
    """
    handle = _opened(control_net_name, ctx)
    if DIFFERENCE not in handle.network.header:
        return handle
    return replace(handle, patches=(DifferencePatch(model.model.network, model.patches),))


@node("SetUnionControlNetType", category="conditioning/controlnet")
def set_union_control_net_type(
    control_net: ControlNetHandle,
    type: Annotated[str, Choices(("auto", *KINDS))],
) -> ControlNetHandle:
    """Say which kind of hint a ControlNet gets that knows several.

    `auto` leaves it open, which is right for a ControlNet of one kind only.
    """
    if type == "auto":
        return replace(control_net, kind=None)
    number = KINDS.index(type)
    if number >= control_net.kinds:
        path = control_net.network.header.path
        raise UnknownControlTypeError(path, type, KINDS[: control_net.kinds])
    return replace(control_net, kind=number)


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
    """Let a picture steer the model while it follows this prompt.

    The negative prompt is steered along, unless it has a ControlNet of its own.
    """
    if strength == 0:
        return conditioning
    control = NetControl(control_net, _hint(image), strength, both_sides=True)
    return _with(conditioning, control)


@node(
    "ControlNetApplyAdvanced", category="conditioning/controlnet", display_name="Apply ControlNet"
)
def control_net_apply_advanced(  # noqa: PLR0917 - the node has as many
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNetHandle,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 1.0,
    vae: VaeHandle | None = None,
) -> Sides:
    """Let a picture (edges, depth, a pose) steer the model; several can be chained, and add up.

    It steers from `start_percent` to `end_percent` of the denoising: 0 is pure noise, 1 the
    image. The picture is cropped and scaled to the latent's size. The VAE is for ControlNets
    that read latents, which those for U-Nets do not.
    """
    del vae
    if strength == 0:
        return Sides(positive, negative)
    control = NetControl(control_net, _hint(image), strength, start_percent, end_percent)
    return Sides(_with(positive, control), _with(negative, control))


def _opened(name: str, ctx: Context) -> ControlNetHandle:
    path = ctx.files.model("controlnet", name)
    header = read_header(path)
    network = networks().network(header, ctx.files.identity(path), spec_of(header))
    return ControlNetHandle(network)


def _hint(image: Image) -> Hint:
    return Hint(image[..., :3].movedim(-1, 1))


def _with(conditioning: Conditioning, control: NetControl) -> Conditioning:
    conds = (replace(cond, controls=(*cond.controls, control)) for cond in conditioning.conds)
    return Conditioning(tuple(conds))
