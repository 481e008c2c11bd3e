"""Any value can be shown."""

from datetime import datetime

import pytest
import torch

from nodegraph.graph.results import Ui
from nodes.builtin.text.preview_any import LONGEST, preview_any
from nodes.builtin.text.primitives import primitive_string_multiline
from nodes.values import Latent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("two\nlines", "two\nlines"),
        (3, "3"),
        (0.5, "0.5"),
        (True, "True"),
        (None, "None"),
        ([1, {"a": "ü"}], '[\n    1,\n    {\n        "a": "ü"\n    }\n]'),
        (torch.tensor([[0.25, 1.0]]), "float32 [1, 2] from 0.25 to 1"),
        (torch.zeros(0, 3), "float32 [0, 3]"),
        ((torch.zeros(1), "a"), "(tensor([0.]), 'a')"),
        (object(), "object"),
    ],
)
def test_a_value_is_shown_as_text(value, text):
    assert shown(value) == text


def shown(value: object) -> str:
    """The one text that is shown of a value."""
    ui = preview_any(source=value)
    assert isinstance(ui, Ui)
    (text,) = ui.values["text"]
    assert isinstance(text, str)
    return text


def test_of_a_latent_all_parts_are_shown():
    assert shown(Latent(torch.zeros(1, 4, 2, 2), batch_index=(3,))) == (
        "Latent\nsamples: float32 [1, 4, 2, 2] from 0 to 0\n"
        "noise_mask: null\nbatch_index: 1 of int\nextras: {}"
    )


def test_a_text_may_have_several_lines():
    assert primitive_string_multiline("a\nb") == "a\nb"


class Named:
    def __init__(self, text):
        self._text = text

    def __repr__(self):
        if self._text is None:
            raise RuntimeError
        return self._text


def recursive():
    """A list and a set's neighbour that hold themselves."""
    inner: list[object] = [{1}]
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({3}, "{3}"),
        (set(), "set()"),
        (frozenset({3}), "frozenset({3})"),
        (b"\x00\x01", r"b'\x00\x01'"),
        (datetime(2025, 1, 2, 3, 4), "2025-01-02 03:04:00"),
        ([(0, 3)], "[\n    [\n        0,\n        3\n    ]\n]"),
        ([{1}, (2,), {"a": b"x"}], "[{1}, (2,), {'a': b'x'}]"),
        ((), "[]"),
        ({"a": float("nan")}, '{\n    "a": NaN\n}'),
        (Named("a name"), "a name"),
        ([Named("a name")], "[a name]"),
        (Named(None), "Named"),
        ([Named(None), 1], "[Named, 1]"),
        (1 + 2j, "(1+2j)"),
        pytest.param(10**5000, "an integer of 16610 bits", id="huge"),
        (recursive(), "[{1}, [...]]"),
        (int, "<class 'int'>"),
    ],
)
def test_a_value_that_is_no_json_is_shown_as_python_prints_it(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    "value",
    [
        list(range(300_000)),
        set(range(300_000)),
        {number: {number} for number in range(100_000)},
        b"x" * 10_000_000,
        [b"x" * 10_000_000, {1}],
        [Named("x" * 10_000_000)],
    ],
)
def test_no_more_is_shown_than_a_person_can_read(value):
    text = shown(value)

    assert LONGEST - 10 <= len(text) <= LONGEST + 200


@pytest.mark.parametrize("key", ["a", b"a"])
def test_nesting_without_end_is_cut_short(key):
    value: object = 1
    for _ in range(100_000):
        value = {key: value}

    assert shown(value)[0] == "{"
    assert shown(value).endswith(" …" if key == "a" else "...}" + 50 * "}")
