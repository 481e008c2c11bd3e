"""Previews have the pixels and texts of saved images."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from nodes.imaging.codec import encode_png, encode_preview

TEXTS = {"prompt": json.dumps({"1": {}}), "title": "größer \N{SNOWMAN}"}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (33, 20)])
def test_a_preview_has_the_pixels_and_texts_of_a_saved_image(channels, size):
    image = torch.rand(*size, channels) * 1.4 - 0.2
    image[0, 0, 0] = float("nan")

    found, expected = (
        PILImage.open(io.BytesIO(encode(image, TEXTS))) for encode in (encode_preview, encode_png)
    )

    assert found.mode == expected.mode
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert found.info == expected.info == TEXTS


def test_encoding_a_preview_leaves_the_image_as_it_is():
    image = torch.rand(4, 4, 3) * 3 - 1
    before = image.clone()

    encode_preview(image, {})

    assert torch.equal(image, before)
