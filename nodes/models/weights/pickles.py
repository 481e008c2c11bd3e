"""Convert a pickle of weights to a safetensors file; only tensors are read, no code is run.

torch's weights-only loader knows tensors, numbers, texts and containers, and refuses whatever
else a pickle asks for (https://docs.pytorch.org/docs/stable/generated/torch.load.html).
"""

import pickle  # noqa: TID251 - for the name of its error
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import (
    save_file,  # pyright: ignore[reportUnknownVariableType]
)
from torch import Tensor

from nodes.models.weights.errors import UnsafePickleError

_WRAPPERS = ("state_dict", "params_ema", "params")
"""The keys under which trainers (Lightning, BasicSR) put the weights."""
_INVERSION = "string_to_param"
"""The key under which textual inversion puts its vectors, by their words."""
_HYPERNETWORK = ("activation_func", "activate_output")
"""The settings of a hypernetwork that say what is computed between its weights."""


class _CheckpointCallback:
    """Stands in for Lightning's class of that name, which Stable Diffusion 1's files mention."""


_INERT = [
    (_CheckpointCallback, f"{place}.callbacks.model_checkpoint.ModelCheckpoint")
    for place in ("pytorch_lightning", "lightning.pytorch")
]


def convert(path: Path, target: Path) -> None:
    """Write the tensors of a pickle to `target`, whole or not at all.

    Raises:
        UnsafePickleError: it asks for more than tensors, is damaged, or has none.
    """
    loaded = _load(path)
    tensors = _unshare(dict(_weights(loaded)))
    if not tensors:
        raise UnsafePickleError(path, "there are no tensors in it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        save_file(tensors, unfinished, metadata={"format": "pt", **_settings(loaded)})
        unfinished.replace(target)


def _load(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(cast("list[Any]", _INERT)):
            return torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except pickle.UnpicklingError as error:
        raise UnsafePickleError(path, _reason(error)) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UnsafePickleError(path, f"it is damaged ({type(error).__name__})") from error


def _weights(loaded: object) -> Iterator[tuple[str, Tensor]]:
    """Return the named tensors of a loaded pickle."""
    if not isinstance(loaded, Mapping):
        return
    held = cast("Mapping[object, object]", loaded)
    vectors = held.get(_INVERSION)
    if isinstance(vectors, Mapping):
        found = next(iter(cast("Mapping[object, object]", vectors).values()), None)
        held = {"emb_params": found}
    for wrapper in _WRAPPERS:
        inner = held.get(wrapper)
        if isinstance(inner, Mapping):
            held = cast("Mapping[object, object]", inner)
            break
    for key, value in held.items():
        if isinstance(key, str) and isinstance(value, Tensor):
            yield key, value
        elif isinstance(key, int) and isinstance(value, list | tuple):
            yield from _flatten(key, cast("Sequence[object]", value))


def _flatten(width: int, parts: Sequence[object]) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights that a hypernetwork has for one width, as `768.0.linear.0.weight`."""
    for number, part in enumerate(parts):
        for key, value in _weights(part):
            yield f"{width}.{number}.{key}", value


def _settings(loaded: object) -> dict[str, str]:
    """Return the settings of a hypernetwork, as texts; of any other file none."""
    if not isinstance(loaded, Mapping):
        return {}
    held = cast("Mapping[object, object]", loaded)
    if not any(isinstance(key, int) for key in held):
        return {}
    return {name: str(held[name]) for name in _HYPERNETWORK if name in held}


def _unshare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, each with memory of its own, as a safetensors file has them."""
    seen: set[int] = set()
    own: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        plain = tensor.detach().contiguous()
        place = plain.untyped_storage().data_ptr()
        own[key] = plain.clone() if place in seen else plain
        seen.add(place)
    return own


def _reason(error: pickle.UnpicklingError) -> str:
    """Return the reason of a refusal: the first class that the pickle may not have."""
    text = str(error)
    name = text.partition("GLOBAL ")[2].split(" ")[0].rstrip(".,")
    return f"it asks for {name}" if name else "it asks for more than tensors, or is damaged"
