"""Socket types: what travels along a link, and what may connect to what."""

from dataclasses import dataclass

ANY = "*"
MATCHTYPE = "COMFY_MATCHTYPE_V3"
"""ComfyUI's word for sockets that have to be the same, whatever they are."""
AUTOGROW = "COMFY_AUTOGROW_V3"
"""ComfyUI's word for a row of inputs that grows as they are used, named `row.input`."""
DYNAMICCOMBO = "COMFY_DYNAMICCOMBO_V3"
"""ComfyUI's word for a choice that brings further inputs along, named `choice.input`."""


@dataclass(frozen=True, slots=True)
class Socket:
    """Names a type's socket: `Image = Annotated[Tensor, Socket("IMAGE")]`.

    A class of our own carries the name itself instead: `__socket__ = "LATENT"`.
    """

    name: str


def connects(output: str, to: str) -> bool:
    """Say if an output socket may feed an input socket.

    Either side may be a comma-separated union, and `*` fits everything: an output fits
    when every type it may carry is one that the input takes.
    """
    if ANY in (output, to):
        return True
    return set(output.split(",")) <= set(to.split(","))
