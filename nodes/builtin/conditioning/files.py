"""Nodes that read a conditioning from a file: a prompt that was encoded before."""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Name
from nodegraph.definition.node import node
from nodegraph.graph.json_values import is_object
from nodes.builtin.conditioning.errors import NoConditioningError
from nodes.models.weights.header import read_header
from nodes.values import Cond, Conditioning

_TOKENS: Final = "conditioning"
_POOLED: Final = "pooled_output"
_OPTIONS: Final = "conditioning_options"
_TOKEN_AXES = 3
_NUMBERED = re.compile(r"(.+)\.(\d{1,4})")


@node("ConditioningLoader", category="loaders", display_name="Load Conditioning")
def conditioning_loader(
    conditioning_name: Annotated[str, ModelFile("embeddings")], ctx: Context
) -> Conditioning:
    """Read an encoded prompt from the folder of embeddings.

    It is a safetensors file with a tensor `conditioning`. Its other tensors are what models read
    besides: `pooled_output`, and others by their names, `name.0`, `name.1` and so on as a list; so
    are the options in its metadata.
    """
    path = ctx.files.model("embeddings", conditioning_name)
    tensors, options = _read(path)
    if _TOKENS not in tensors:
        raise NoConditioningError(path, f"it has no tensor {_TOKENS!r}")
    if tensors[_TOKENS].ndim != _TOKEN_AXES:
        raise NoConditioningError(path, f"its tensor has the shape {[*tensors[_TOKENS].shape]}")
    tokens, pooled = tensors.pop(_TOKENS).float(), tensors.pop(_POOLED, None)
    extras = {**options, **_lists(tensors)}
    return Conditioning((Cond(tokens, None if pooled is None else pooled.float(), extras=extras),))


@node("LotusConditioning", category="conditioning/lotus")
def lotus_conditioning() -> Annotated[Conditioning, Name("conditioning")]:
    """The conditioning that Lotus models read: the empty prompt, as Stable Diffusion 2 encodes it.

    Lotus was trained with it alone, without padding: two tokens (He et al. 2024, arXiv:2409.18124).
    """
    return Conditioning((Cond(_empty_prompt()),))


@cache
def _empty_prompt() -> Tensor:
    """Return what Stable Diffusion 2's text encoder makes of it: [1, 2, 1024] float32."""
    packed = files("nodes.models.text").joinpath("assets", "empty_prompt_sd2.safetensors")
    return load(packed.read_bytes())[_TOKENS]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return the tensors of a file, and the options in its metadata."""
    try:
        header, tensors = read_header(path), load(path.read_bytes())
        options: object = json.loads(header.metadata.get(_OPTIONS, "{}"))
    except (SafetensorError, ValueError, RecursionError) as error:
        raise NoConditioningError(path, str(error)) from error
    return tensors, options if is_object(options) else {}


def _lists(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return tensors by name, those with numbers in tuples."""
    numbered: dict[str, dict[int, Tensor]] = {}
    plain: dict[str, object] = {}
    for name, tensor in tensors.items():
        found = _NUMBERED.fullmatch(name)
        if found:
            numbered.setdefault(found[1], {})[int(found[2])] = tensor
        else:
            plain[name] = tensor
    for name, parts in numbered.items():
        plain[name] = tuple(parts[number] for number in sorted(parts))
    return plain
