"""Nodes for PhotoMaker: prompts with a person from images."""

import re
from typing import Annotated

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile
from nodegraph.definition.node import node
from nodes.builtin.conditioning.errors import TriggerPlaceError
from nodes.builtin.inputs import Prompt
from nodes.models.adapters.photomaker import PhotoMakerHandle, open_photomaker
from nodes.models.loading.handles import ClipHandle
from nodes.models.text.textual_inversion import Embeddings, embedding_hashes
from nodes.values import Cond, Conditioning, Image

TRIGGER = "photomaker"
"""The trigger, which follows the word for the person."""
_BEFORE = re.compile(rf"(?P<before>.*?(?P<word>\S+))\s+{TRIGGER}\b", re.DOTALL)


@node(
    "PhotoMakerLoader",
    category="_for_testing/photomaker",
    experimental=True,
    preflight="nodes.preflight.models:photomaker",
)
def photo_maker_loader(
    photomaker_model_name: Annotated[str, ModelFile("photomaker")], ctx: Context
) -> PhotoMakerHandle:
    """Open a PhotoMaker of version 1, for SDXL; the model needs its LoRA, too."""
    path = ctx.files.model("photomaker", photomaker_model_name)
    return open_photomaker(path, ctx.files.identity(path), ctx.models)


@node(
    "PhotoMakerEncode",
    category="_for_testing/photomaker",
    experimental=True,
    state=embedding_hashes("text"),
)
def photo_maker_encode(
    photomaker: PhotoMakerHandle,
    image: Image,
    clip: ClipHandle,
    text: Prompt = "photograph of photomaker",
    *,
    ctx: Context,
) -> Conditioning:
    """Encode a prompt with the person that the images show.

    The word before `photomaker` becomes that person, as in "a man photomaker on the beach"; with
    several images it is repeated for each. Without `photomaker` it is an ordinary prompt.
    """
    embeddings = Embeddings(ctx.files, ctx.notice)
    found = _BEFORE.match(text)
    if found is None:
        ctx.notice(f"There is no word before {TRIGGER!r} in the prompt: no person is inserted.")
        encoded = clip.encode(text, embeddings)
        return Conditioning((Cond(encoded.tokens, encoded.pooled),))
    before, after = found["before"], text[found.end() :]
    said = [before + f" {found['word']}" * number for number in range(len(image))]
    places = [_last(clip, each, embeddings) for each in said]
    encoded = clip.encode(said[-1] + after, embeddings)
    tokens = encoded.tokens.clone()
    tokens[0, places] = photomaker.fuse(image, tokens[0, places])
    return Conditioning((Cond(tokens, encoded.pooled),))


def _last(clip: ClipHandle, text: str, embeddings: Embeddings) -> int:
    """Return the position of a text's last token.

    Raises:
        TriggerPlaceError: it isn't in the first chunk.
    """
    encoder = clip.text.encoders[0]
    first, *more = encoder.chunks(text, embeddings.for_encoder(encoder.name))
    if more:
        raise TriggerPlaceError(TRIGGER)
    return sum(token.word > 0 for token in first)
