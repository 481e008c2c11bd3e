"""Hypernetwork files of AUTOMATIC1111's web UI: how to recognise one, and its layers.

For each width of attention there are two small networks, one for the keys and one for the values.
The files are pickles; converted to safetensors (`nodes.models.weights.pickles`) their tensors are
called `768.0.linear.0.weight`: the width, 0 for keys or 1 for values, the layer's number among all
layers, and its part. The settings are in the metadata.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.weights.header import Header

_KEY = re.compile(r"(?P<width>\d+)\.(?P<part>[01])\.linear\.?(?P<number>\d+)\.(weight|bias)")
_NO_ACTIVATION = ("", "none", "linear", "identity")
_SAME_NAME = """
CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish ReLU ReLU6 SELU
SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink
"""
_MODULES = {"swish": "Hardswish"} | {name.lower(): name for name in _SAME_NAME.split()}
"""The activations by the names that files have for them: each torch's module, with its defaults."""
_MATRIX = 2
"""The number of dimensions of a linear layer's weight; a layer norm's has one."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with weights: linear, or a layer norm."""

    weight: str
    """The key of its weight."""
    bias: str | None
    """The key of its bias; None if it has none."""
    is_linear: bool
    activates: bool = False
    """True if the activation follows."""


@dataclass(frozen=True, slots=True)
class HypernetworkLayers:
    """The layers of a hypernetwork, in the order of computation."""

    by_width: Mapping[int, tuple[Sequence[Layer], Sequence[Layer]]]
    """Those for the keys and those for the values, by the width of what they change."""
    activation: str | None
    """The name of a module in `torch.nn`; None if there is none."""


def read_hypernetwork(header: Header) -> HypernetworkLayers:
    """Return the layers of a hypernetwork; weights are not read.

    Dropout has no weights, and does nothing outside of training.

    Raises:
        UnrecognisedFileError: it is another file, or its layers do not follow on each other, or
            the activation is not known.
    """
    numbers: dict[tuple[int, int], set[int]] = {}
    for key in header.tensors:
        found = _KEY.fullmatch(key)
        if found is None:
            raise _error(header, f"{header.summary}; {key} is no layer of one")
        place = int(found["width"]), int(found["part"])
        numbers.setdefault(place, set()).add(int(found["number"]))
    if not numbers:
        raise _error(header, header.summary)
    activation = _activation(header)
    each = {place: _layers(header, *place, sorted(every)) for place, every in numbers.items()}
    widths = sorted({width for width, _ in each})
    for width in widths:
        for part in (0, 1):
            if (width, part) not in each:
                raise _error(header, f"{header.summary}, and none for {width}.{part}")
    return HypernetworkLayers({w: (each[w, 0], each[w, 1]) for w in widths}, activation)


def _layers(header: Header, width: int, part: int, numbers: Sequence[int]) -> Sequence[Layer]:
    """Return the layers of one small network, checked."""
    names = [_name(header, f"{width}.{part}", number) for number in numbers]
    linear = [name for name in names if len(_shape(header, f"{name}.weight")) == _MATRIX]
    activates = linear if _activates_output(header) else linear[:-1]
    layers: list[Layer] = []
    now = width
    for name in names:
        is_linear, weight, bias = name in linear, f"{name}.weight", f"{name}.bias"
        shape = _shape(header, weight)
        follows = len(shape) in (1, _MATRIX) and shape[-1] == now
        if not follows or (bias in header and header.shape(bias) != shape[:1]):
            seen = f"{header.summary}; {weight} of shape {list(shape)} does not take {now} numbers"
            raise _error(header, seen)
        now = shape[0]
        layers.append(Layer(weight, bias if bias in header else None, is_linear, name in activates))
    if now != width or not linear:
        raise _error(header, f"{header.summary}; those of {width}.{part} give {now} numbers")
    return tuple(layers)


def _name(header: Header, start: str, number: int) -> str:
    """Return the start of a layer's keys, which the oldest files write `linear1`."""
    names = (f"{start}.linear.{number}", f"{start}.linear{number}")
    return next(
        (name for name in names if f"{name}.weight" in header or f"{name}.bias" in header), names[0]
    )


def _shape(header: Header, key: str) -> tuple[int, ...]:
    """Return a tensor's shape; that of a number if it is not there."""
    return header.shape(key) if key in header else ()


def _activation(header: Header) -> str | None:
    """Return the activation that the settings name."""
    named = header.metadata.get("activation_func", "").strip('"').lower()
    if named in _NO_ACTIVATION:
        return None
    if named not in _MODULES:
        raise _error(header, f"{header.summary}, with the activation {named!r}")
    return _MODULES[named]


def _activates_output(header: Header) -> bool:
    """Return True if an activation follows the last linear layer, too, as without the setting."""
    return header.metadata.get("activate_output", "true").lower() != "false"


def _error(header: Header, seen: str) -> UnrecognisedFileError:
    return UnrecognisedFileError(header.path, seen, code="not_a_hypernetwork")
