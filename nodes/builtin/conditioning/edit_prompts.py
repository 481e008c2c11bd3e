"""Nodes that encode prompts together with pictures, for models that edit."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodes.builtin.inputs import Prompt
from nodes.imaging.resize import resize_images
from nodes.inference.vae import crop_to_vae, encode_images
from nodes.models.loading.handles import ClipHandle
from nodes.models.text.textual_inversion import Embeddings, embedding_hashes
from nodes.values import REFERENCES, Cond, Conditioning, Image, VaeHandle

SEEN, READ = 384 * 384, 1024 * 1024
"""The pixels that a picture is scaled to: for the text encoder, and for the VAE."""
_PLACE = "<|vision_start|><|image_pad|><|vision_end|>"
_SYSTEM = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size,"
    " texture, objects, background), then explain how the user's text instruction should alter or"
    " modify the image. Generate a new image that meets the user's requirements while maintaining"
    " consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n"
)
_ANSWER = "<|im_end|>\n<|im_start|>assistant\n"
_DROPPED = 64
"""The tokens of the system's message, and of the user's name, which the model does not read."""


class Picture(NamedTuple):
    """A picture of a prompt."""

    seen: Tensor
    """[batch, height, width, 3], as large as the text encoder sees it."""
    read: Tensor
    """The same for the VAE."""


@node(
    "TextEncodeQwenImageEdit",
    category="advanced/conditioning",
    state=embedding_hashes("prompt"),
)
def text_encode_qwen_image_edit(
    clip: ClipHandle,
    prompt: Prompt,
    vae: VaeHandle | None = None,
    image: Image | None = None,
    *,
    ctx: Context,
) -> Conditioning:
    """Encode an instruction to edit an image, for Qwen-Image-Edit.

    The text encoder sees the image, scaled to about a million pixels. With a VAE the model sees it,
    too, as a reference. Without an image this is a prompt for Qwen-Image.
    """
    if image is None:
        return _encode(clip, prompt, (), None, ctx)
    scaled = _scale(image, READ)
    chat = clip.with_chat(f"{_SYSTEM}{_PLACE}{{}}{_ANSWER}", _DROPPED)
    return _encode(chat, prompt, [Picture(scaled, scaled)], vae, ctx)


@node(
    "TextEncodeQwenImageEditPlus",
    category="advanced/conditioning",
    state=embedding_hashes("prompt"),
)
def text_encode_qwen_image_edit_plus(
    clip: ClipHandle,
    prompt: Prompt,
    vae: VaeHandle | None = None,
    image1: Image | None = None,
    image2: Image | None = None,
    image3: Image | None = None,
    *,
    ctx: Context,
) -> Conditioning:
    """Encode an instruction that takes up to three images, for Qwen-Image-Edit 2509 and 2511.

    The instruction calls them "Picture 1", "Picture 2" and "Picture 3", by those that are there.
    The text encoder sees them small, at about 384 by 384 pixels. With a VAE the model sees them,
    too, each as a reference of about a million pixels.
    """
    pictures = [
        Picture(_scale(image, SEEN), _scale(image, READ, vae.downscale if vae else 1))
        for image in (image1, image2, image3)
        if image is not None
    ]
    places = "".join(f"Picture {number}: {_PLACE}" for number, _ in enumerate(pictures, 1))
    chat = clip.with_chat(f"{_SYSTEM}{places}{{}}{_ANSWER}", _DROPPED)
    return _encode(chat, prompt, pictures, vae, ctx)


def _encode(
    clip: ClipHandle,
    prompt: str,
    pictures: Iterable[Picture],
    vae: VaeHandle | None,
    ctx: Context,
) -> Conditioning:
    """Encode a prompt with pictures in its chat, and give the model those that a VAE encodes."""
    pictures = list(pictures)
    if any(len(each.seen) > 1 for each in pictures):
        ctx.notice("the text encoder sees the first image of a batch alone.")
    embeddings = Embeddings(ctx.files, ctx.notice)
    encoded = clip.encode(prompt, embeddings, [each.seen[0] for each in pictures])
    latents = tuple(
        encode_images(crop_to_vae(each.read.movedim(-1, 1), vae), vae, ctx)
        for each in (pictures if vae else ())
        if vae
    )
    extras = {REFERENCES: latents} if latents else {}
    return Conditioning((Cond(encoded.tokens, encoded.pooled, extras=extras),))


def _scale(image: Tensor, pixels: int, step: int = 1) -> Tensor:
    """Return the colours of an image, scaled to about so many pixels, in multiples of `step`."""
    height, width = image.shape[1:3]
    scale = math.sqrt(pixels / (width * height))
    wide, high = (max(1, round(side * scale / step)) * step for side in (width, height))
    return resize_images(image[..., :3], wide, high, "area")
