"""Messages between processes: JSON, and the tensors in it as safetensors. Nothing is unpickled."""

import base64
import json
import struct
from collections.abc import Callable, Collection, Mapping
from typing import IO, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nodegraph.graph.graph import Link
from nodes.comfy.apart.errors import CannotCrossError
from nodes.comfy.values.convert import ExecutionBlocker

_KIND, _OF = "$", "of"
_FROM_TEXT: Mapping[str, Callable[[Any], object]] = {
    "bytes": base64.b64decode,
    "blocked": ExecutionBlocker,
    "link": lambda place: Link(*place),
}
"""The values that are made of a text, or of a list of plain values, by kind."""
_HEADER = struct.Struct("<QQ")
_PLAIN = (type(None), bool, int, float, str)


def write_message(stream: IO[bytes], message: Mapping[str, object]) -> None:
    """Write a message: the lengths of its JSON and of its tensors, and both.

    Raises:
        CannotCrossError: it has a value of another kind.
        OSError: nobody reads any more.
    """
    tensors: dict[str, Tensor] = {}
    try:
        text = json.dumps(_encode(message, tensors)).encode()
        blob = save(tensors) if tensors else b""
    except RecursionError as error:
        kind = "list or dict that holds itself"
        raise CannotCrossError(kind) from error
    except (SafetensorError, KeyError, ValueError) as error:
        kind = f"Tensor ({', '.join(sorted({str(each.dtype) for each in tensors.values()}))})"
        raise CannotCrossError(kind) from error
    for part in (_HEADER.pack(len(text), len(blob)), text, blob):
        rest = memoryview(part)
        while rest:
            rest = rest[stream.write(rest) :]
    stream.flush()


def read_message(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read a message; None if the other end is gone."""
    header = _read(stream, _HEADER.size)
    if header is None:
        return None
    text_length, blob_length = _HEADER.unpack(header)
    text, blob = _read(stream, text_length), _read(stream, blob_length)
    if text is None or blob is None:
        return None
    return _decode(json.loads(text), load(blob) if blob else {})


def _read(stream: IO[bytes], length: int) -> bytes | None:
    """Read exactly so many bytes; None if the other end is gone before that."""
    parts: list[bytes] = []
    while length:
        part = stream.read(length)
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _encode(value: object, tensors: dict[str, Tensor]) -> object:
    if isinstance(value, Tensor | np.ndarray):
        return _tensor(cast("Tensor | NDArray[Any]", value), tensors)
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[object, object]", value), tensors)
    if isinstance(value, list | tuple | set | frozenset):
        return _sequence(cast("Collection[object]", value), tensors)
    return value if type(value) in _PLAIN else _rare(value)


def _sequence(value: Collection[object], tensors: dict[str, Tensor]) -> object:
    items = [_encode(item, tensors) for item in value]
    if isinstance(value, list):
        return items
    return {_KIND: "tuple" if isinstance(value, tuple) else "set", _OF: items}


def _rare(value: object) -> object:
    if isinstance(value, bytes):
        return {_KIND: "bytes", _OF: base64.b64encode(value).decode()}
    if isinstance(value, Link):
        return {_KIND: "link", _OF: [value.source, value.output]}
    if isinstance(value, ExecutionBlocker):
        return {_KIND: "blocked", _OF: value.message}
    if isinstance(value, np.generic):
        value = value.item()
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)
    raise CannotCrossError(type(value).__name__)


def _mapping(value: Mapping[object, object], tensors: dict[str, Tensor]) -> object:
    if all(type(key) is str for key in value) and _KIND not in value:
        return {key: _encode(item, tensors) for key, item in value.items()}
    pairs = [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]
    return {_KIND: "dict", _OF: pairs}


def _tensor(value: Tensor | NDArray[Any], tensors: dict[str, Tensor]) -> object:
    name, kind = str(len(tensors)), "tensor"
    if not isinstance(value, Tensor):
        value, kind = _as_tensor(value), "array"
    if value.layout is not torch.strided or value.is_complex():
        unfit = f"Tensor ({value.dtype}, {value.layout})"
        raise CannotCrossError(unfit)
    tensors[name] = value.detach().cpu().contiguous().clone()
    return {_KIND: kind, _OF: name}


def _as_tensor(value: NDArray[Any]) -> Tensor:
    try:
        return torch.from_numpy(np.ascontiguousarray(value))
    except TypeError as error:
        kind = f"ndarray ({value.dtype})"
        raise CannotCrossError(kind) from error


def _decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    table = cast("dict[str, Any]", value)
    kind = table.get(_KIND)
    if kind is None:
        return {key: _decode(item, tensors) for key, item in table.items()}
    return _decode_marked(str(kind), table[_OF], tensors)


def _decode_marked(kind: str, of: Any, tensors: Mapping[str, Tensor]) -> Any:
    if kind in ("tensor", "array"):
        return tensors[of] if kind == "tensor" else tensors[of].numpy()
    if kind in _FROM_TEXT:
        return _FROM_TEXT[kind](of)
    if kind == "dict":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in of}
    items = _decode(of, tensors)
    return tuple(items) if kind == "tuple" else set(items)
