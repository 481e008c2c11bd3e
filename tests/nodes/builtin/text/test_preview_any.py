"""Any value can be shown."""

import pytest
import torch

from nodes.builtin.text.preview_any import preview_any
from nodes.builtin.text.primitives import primitive_string_multiline
from nodes.values import Latent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two\nlines", "two\nlines"),
        (3, "3"),
        (0.5, "0.5"),
        (True, "True"),
        (None, "None"),
        ([1, {"a": "ü"}], '[\n    1,\n    {\n        "a": "ü"\n    }\n]'),
        (torch.tensor([[0.25, 1.0]]), "float32 [1, 2] from 0.25 to 1"),
        (torch.zeros(0, 3), "float32 [0, 3]"),
        ((torch.zeros(1), "a"), "2 of Tensor, str"),
        (object(), "object"),
    ],
)
def test_a_value_is_shown_as_text(value, shown):
    assert preview_any(value).values == {"text": [shown]}


def test_of_a_latent_all_parts_are_shown():
    (text,) = preview_any(Latent(torch.zeros(1, 4, 2, 2), batch_index=(3,))).values["text"]

    assert text == (
        "Latent\nsamples: float32 [1, 4, 2, 2] from 0 to 0\n"
        "noise_mask: null\nbatch_index: 1 of int\nextras: {}"
    )


def test_a_text_may_have_several_lines():
    assert primitive_string_multiline("a\nb") == "a\nb"
