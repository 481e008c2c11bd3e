"""The left side of the page: a Gradio component for each field, and the buttons."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any

import gradio as gr

from server.form.fields import RANDOM, Field, Kind

_MOST_STOPS = 200
"""The most positions of a slider; inputs with more are typed as numbers."""
_FIRST: Sequence[Kind] = ("text", "line", "image")
"""Kinds of fields that stand above the buttons if they come first."""
_NARROW: Sequence[Kind] = ("integer", "number")


class Inputs:
    """The components for the fields, and the buttons.

    Args:
        fields: the fields of the form.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._random: dict[gr.Textbox, gr.Checkbox] = {}
        """The checkbox for a new random seed each time, by the seed's component."""
        first = len(list(takewhile(lambda one: one.kind in _FIRST, fields)))
        above = [self._part(one) for one in fields[:first]]
        with gr.Row():
            self.go = gr.Button("Generate", variant="primary", scale=3)
            self.stop = gr.Button("Cancel", variant="stop", interactive=False, scale=1)
        self.parts = [*above, *self._in_rows(fields[first:])]
        """The components, in the order of the fields."""

    @property
    def all(self) -> list[Any]:
        """All components that a user can change."""
        return [*self.parts, *self._random.values()]

    def to_draw(self, given: Mapping[Any, Any]) -> list[gr.Textbox]:
        """Return the seed components that get a new random seed."""
        return [seed for seed, wanted in self._random.items() if given[wanted]]

    def _in_rows(self, fields: Sequence[Field]) -> list[Any]:
        """Return the components of fields, with numbers side by side."""
        parts: list[Any] = []
        for narrow, group in groupby(fields, lambda one: one.kind in _NARROW):
            for row in _rows(list(group), 2 if narrow else 1):
                with gr.Row():
                    parts += [self._part(one) for one in row]
        return parts

    def _part(self, one: Field) -> Any:
        if one.kind == "seed":
            return self._seed(one)
        made: Mapping[Kind, Callable[[Field], Any]] = {
            "text": _text,
            "line": _text,
            "image": _picture,
            "choice": _choice,
            "flag": _flag,
        }
        return made.get(one.kind, _number)(one)

    def _seed(self, one: Field) -> gr.Textbox:
        """Return a text box for a seed: a number in a browser has 53 bits, and a seed has 64."""
        with gr.Row(equal_height=True):
            seed = gr.Textbox(str(one.value or 0), label=one.label, max_length=20, scale=3)
            with gr.Column(scale=2, min_width=140):
                draw = gr.Button("Random", size="sm")
                self._random[seed] = gr.Checkbox(label="new each time", container=False)
        draw.click(
            lambda: str(secrets.randbelow(RANDOM)),
            outputs=seed,
            show_progress="hidden",
            api_visibility="private",
        )
        return seed


def _rows(fields: Sequence[Field], width: int) -> Iterator[Sequence[Field]]:
    return (fields[start : start + width] for start in range(0, len(fields), width))


def _text(one: Field) -> gr.Textbox:
    lines = 3 if one.kind == "text" else 1
    return gr.Textbox(one.value or "", label=one.label, info=one.help or None, lines=lines)


def _choice(one: Field) -> gr.Dropdown:
    """Return a dropdown whose choices include the workflow's value, even if the server lacks it."""
    own = [str(one.value)] if one.value else []
    choices = list(dict.fromkeys([*one.choices, *own]))
    return gr.Dropdown(choices, value=one.value, label=one.label, info=one.help or None)


def _flag(one: Field) -> gr.Checkbox:
    return gr.Checkbox(bool(one.value), label=one.label, info=one.help or None)


def _number(one: Field) -> gr.Slider | gr.Number:
    low, high, step = one.minimum, one.maximum, one.step or (1 if one.kind == "integer" else 0.01)
    if low is not None and high is not None and (high - low) / step <= _MOST_STOPS:
        return gr.Slider(low, high, one.value, step=step, label=one.label, info=one.help or None)
    return gr.Number(
        one.value,
        label=one.label,
        info=one.help or _range(one),
        precision=0 if one.kind == "integer" else None,
        minimum=low,
        maximum=high,
        step=step,
    )


def _picture(one: Field) -> gr.Image:
    label = f"{one.label} (if none is given: {one.value})" if one.value else one.label
    return gr.Image(
        label=label,
        type="filepath",
        format="png",
        image_mode=None,
        sources=["upload", "clipboard"],
        height=240,
    )


def _range(one: Field) -> str | None:
    if one.minimum is None or one.maximum is None:
        return None
    return f"{one.minimum:g} to {one.maximum:g}"
