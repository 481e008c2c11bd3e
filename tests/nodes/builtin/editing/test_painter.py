"""What was painted in the editor is put on an image."""

import pytest
import torch
from PIL import Image as PILImage

from nodegraph.errors import NodeGraphError
from nodes.builtin.editing.painter import painter
from nodes.builtin.logic.errors import BadColourError
from tests.nodes.bench import Bench

RED_HALF = (255, 0, 0, 128)


@pytest.fixture
def bench(tmp_path):
    """One with strokes of 2x1 pixels: a half transparent red one beside nothing."""
    strokes = PILImage.new("RGBA", (2, 1))
    strokes.putpixel((0, 0), RED_HALF)
    for folder in ("input", "temp/painter"):
        (tmp_path / folder).mkdir(parents=True)
        strokes.save(tmp_path / folder / "strokes.png")
    return Bench(tmp_path)


def test_strokes_cover_every_image_of_a_batch_and_the_mask_says_where(bench):
    image = torch.tensor([[0.0, 0.5, 1.0], [0.2, 0.4, 0.6]])[:, None, None].expand(2, 1, 2, 3)
    before = image.clone()

    found = painter(image, "strokes.png", ctx=bench)

    share = 128 / 255
    expected = image[:, 0, 0] * (1 - share) + torch.tensor([1.0, 0.0, 0.0]) * share
    torch.testing.assert_close(found.IMAGE[:, 0, 0], expected)
    assert torch.equal(found.IMAGE[:, 0, 1], image[:, 0, 1])
    torch.testing.assert_close(found.MASK, torch.tensor([[[share, 0.0]]]))
    assert torch.equal(image, before)


def test_strokes_are_scaled_to_the_image_without_dark_edges(bench):
    found = painter(torch.ones(1, 8, 16, 3), "painter/strokes.png [temp]", ctx=bench)

    assert found.IMAGE.shape == (1, 8, 16, 3)
    assert found.MASK.shape == (1, 8, 16)
    assert torch.all(found.IMAGE[..., 0] == 1.0), "red on white is never darker than red"
    assert 0.0 < float(found.MASK[0, 0, 8]) < float(found.MASK[0, 0, 0])


def test_without_an_image_there_is_a_canvas_and_without_strokes_no_mask(bench):
    found = painter(width=128, height=64, bg_color="#ff0080", ctx=bench)

    assert found.IMAGE.shape == (1, 64, 128, 3)
    torch.testing.assert_close(found.IMAGE[0, 3, 5], torch.tensor([1.0, 0.0, 128 / 255]))
    assert torch.equal(found.MASK, torch.zeros(1, 64, 128))
    with pytest.raises(BadColourError, match="'red' is no colour"):
        painter(bg_color="red", ctx=bench)
    with pytest.raises(NodeGraphError, match=r"gone\.png"):
        painter(mask="gone.png", ctx=bench)


def test_its_result_depends_on_what_the_file_holds(bench):
    state = painter.state
    assert state
    before = state({"mask": "strokes.png"}, bench.files)
    PILImage.new("RGBA", (2, 1), (0, 0, 0, 255)).save(bench.root / "input/strokes.png")

    assert state({"mask": "strokes.png"}, bench.files) != before
    assert state({"mask": ""}, bench.files) == state({"mask": "gone.png"}, bench.files) == ""
