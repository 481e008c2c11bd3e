"""Node types of Custom-Scripts and rgthree that show texts and images, and hold a seed."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Listed, Optional, Widget
from nodegraph.definition.node import node
from nodegraph.files.files import Files
from nodegraph.graph.results import Artifact, Ui
from nodegraph.graph.sockets import Socket
from nodes.builtin.image.files import show_images
from nodes.values import Image

Texts = Annotated[list[str], Socket("STRING"), Widget(forceInput=True)]

_HIDDEN = ("prompt", "extra_pnginfo")
_RANDOM = (-1, -2, -3)
"""The seeds that ask for another one every time."""
_MOST = 2**50


class RgthreeSeed(NamedTuple):
    """The output of `Seed (rgthree)`."""

    SEED: int


@node(
    "ShowText|pysssss",
    category="popular/Custom-Scripts",
    display_name="Show Text",
    output_node=True,
    input_is_list=True,
    gives_way=True,
)
def show_text(text: Texts) -> Annotated[list[str], Socket("STRING"), Listed()] | Ui:
    """Show texts, and hand them on."""
    return Ui(values={"text": text}, outputs=(text,))


@node(
    "Image Comparer (rgthree)",
    category="popular/rgthree",
    output_node=True,
    writes_only=True,
    hidden=_HIDDEN,
    gives_way=True,
)
def image_comparer(
    image_a: Annotated[Image | None, Optional()] = None,
    image_b: Annotated[Image | None, Optional()] = None,
    *,
    ctx: Context,
) -> Ui:
    """Show two batches of images without keeping them."""
    return Ui(artifacts={"a_images": _preview(image_a, ctx), "b_images": _preview(image_b, ctx)})


def fresh_if_random(inputs: Mapping[str, object], _files: Files) -> str:
    """Return another text every time for the seeds that ask for it."""
    return secrets.token_hex() if inputs.get("seed") in _RANDOM else ""


@node("Seed (rgthree)", category="popular/rgthree", state=fresh_if_random, gives_way=True)
def rgthree_seed(
    seed: Annotated[int, Field(ge=-_MOST, le=_MOST)] = 0, *, ctx: Context
) -> RgthreeSeed:
    """Hold a seed, for all inputs that it is linked to; -1 to -3 draw another one each time."""
    if seed not in _RANDOM:
        return RgthreeSeed(seed)
    drawn = 1 + secrets.randbelow(_MOST)
    ctx.notice(f"the seed of this run is {drawn}.")
    return RgthreeSeed(drawn)


def _preview(images: Image | None, ctx: Context) -> Sequence[Artifact]:
    if images is None or len(images) == 0:
        return ()
    return show_images(images, ctx).artifacts["images"]
