"""The basic pipe of the Impact Pack: a model and what belongs to it, on one link."""

from typing import Annotated, NamedTuple, TypeAlias

from nodegraph.definition.markers import Optional
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.values import Conditioning

Pipe: TypeAlias = tuple[ModelHandle, ClipHandle, VaeHandle, Conditioning, Conditioning]
BasicPipe: TypeAlias = Annotated[Pipe, Socket("BASIC_PIPE")]
"""A model, its text encoder, its VAE, and a positive and a negative conditioning."""

_CATEGORY = "popular/Impact Pack"


class OnePipe(NamedTuple):
    """The output of `ToBasicPipe` and `EditBasicPipe`."""

    basic_pipe: BasicPipe


class PipeParts(NamedTuple):
    """The outputs of `FromBasicPipe`."""

    model: ModelHandle
    clip: ClipHandle
    vae: VaeHandle
    positive: Conditioning
    negative: Conditioning


class PipeAndParts(NamedTuple):
    """The outputs of `FromBasicPipe_v2`."""

    basic_pipe: BasicPipe
    model: ModelHandle
    clip: ClipHandle
    vae: VaeHandle
    positive: Conditioning
    negative: Conditioning


@node("ToBasicPipe", category=_CATEGORY, display_name="ToBasicPipe", gives_way=True)
def to_basic_pipe(
    model: ModelHandle,
    clip: ClipHandle,
    vae: VaeHandle,
    positive: Conditioning,
    negative: Conditioning,
) -> OnePipe:
    """Put a model, its text encoder, its VAE and two prompts on one link."""
    return OnePipe((model, clip, vae, positive, negative))


@node("FromBasicPipe", category=_CATEGORY, display_name="FromBasicPipe", gives_way=True)
def from_basic_pipe(basic_pipe: BasicPipe) -> PipeParts:
    """Take the parts from a pipe."""
    return PipeParts(*basic_pipe)


@node("FromBasicPipe_v2", category=_CATEGORY, display_name="FromBasicPipe_v2", gives_way=True)
def from_basic_pipe_v2(basic_pipe: BasicPipe) -> PipeAndParts:
    """Take the parts from a pipe, and hand the pipe on."""
    return PipeAndParts(basic_pipe, *basic_pipe)


@node("EditBasicPipe", category=_CATEGORY, display_name="Edit BasicPipe", gives_way=True)
def edit_basic_pipe(
    basic_pipe: BasicPipe,
    model: Annotated[ModelHandle | None, Optional()] = None,
    clip: Annotated[ClipHandle | None, Optional()] = None,
    vae: Annotated[VaeHandle | None, Optional()] = None,
    positive: Annotated[Conditioning | None, Optional()] = None,
    negative: Annotated[Conditioning | None, Optional()] = None,
) -> OnePipe:
    """Replace those parts of a pipe that are linked."""
    old_model, old_clip, old_vae, old_positive, old_negative = basic_pipe
    return OnePipe(
        (
            model or old_model,
            clip or old_clip,
            vae or old_vae,
            positive or old_positive,
            negative or old_negative,
        )
    )
