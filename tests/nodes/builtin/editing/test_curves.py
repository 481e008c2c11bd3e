"""Histograms of images, and curves that are drawn before them."""

import pytest
import torch

from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Graph, Node
from nodegraph.graph.results import Ui
from nodegraph.packs.registry import Registry
from nodes.builtin.editing.curves import curve_editor, image_histogram
from nodes.imaging.errors import BadCurveError, EmptyBatchError
from tests.toys import files_in

CURVE = {"points": [[0, 0.1], [0.4, 0.6], [1, 1]], "interpolation": "linear"}


def levels(histogram):
    """The levels that occur, with their counts."""
    return {level: count for level, count in enumerate(histogram) if count}


def test_each_histogram_counts_the_pixels_of_the_first_image():
    image = torch.zeros(2, 2, 3, 3)
    image[0, 0] = torch.tensor([1.0, 0.5, 0.25])
    image[1] = 1.0

    found = image_histogram(image)

    assert [len(each) for each in found] == [256] * 5
    assert levels(found.red) == {0: 3, 255: 3}
    assert levels(found.green) == {0: 3, 127: 3}
    assert levels(found.blue) == {0: 3, 63: 3}
    assert levels(found.rgb) == {0: 3, int(255 * 1.75 / 3): 3}
    bright = 0.2126 + 0.7152 / 2 + 0.0722 / 4
    assert levels(found.luminance) == {0: 3, int(255 * bright): 3}


def test_alpha_is_not_counted_a_grey_image_is_and_an_empty_batch_is_refused():
    image = torch.full((1, 2, 2, 4), 0.5)
    image[..., 3] = 0.0

    assert {tuple(levels(each).items()) for each in image_histogram(image)} == {((127, 4),)}
    assert levels(image_histogram(image[..., :1]).luminance) == {127: 4}
    with pytest.raises(EmptyBatchError):
        image_histogram(image[:0])


def test_a_curve_is_handed_on_and_the_histogram_is_shown(tmp_path):
    assert curve_editor(CURVE, [1, 2, 3]) == Ui(values={"histogram": [1, 2, 3]}, outputs=(CURVE,))
    assert curve_editor(CURVE) == Ui(outputs=(CURVE,))
    wrapped = {"__type__": "CURVE", "__value__": CURVE}
    graph = Graph({"1": Node("1", "CurveEditor", {"curve": wrapped})})
    engine = Engine(Registry.from_types(curve_editor), files_in(tmp_path))
    assert engine.run(graph, targets={"1"}).outputs["1"][0] == CURVE


@pytest.mark.parametrize(
    "value",
    [
        None,
        [[0, 0], [1, 1]],
        {"points": [[0, 0]]},
        {"points": [[0, 0], [1, 2]]},
        {"points": [[0.5, 0], [0.5, 1]]},
        {"points": [[0, 0], [1]]},
        {"points": [[0, 0], "a"]},
        {"points": [[0, 0], [1, 1]], "interpolation": "bezier"},
    ],
)
def test_what_is_no_curve_is_refused(value):
    with pytest.raises(BadCurveError, match="is no curve"):
        curve_editor(value)
