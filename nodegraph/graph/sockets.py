"""Socket types: what travels along a link, and what may connect to what."""

from dataclasses import dataclass

ANY = "*"


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
