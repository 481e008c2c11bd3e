"""Values that are plain data as a safetensors file: their tensors, and their structure as JSON.

Plain are numbers, texts, tensors, containers, named tuples, and dataclasses that say
`__data__ = True`. A file names classes, and only those that the process has loaded already and
that are plain are made again; nothing else in it is run. A hash tells if it is whole.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

from nodegraph.cache.entry import Held
from nodegraph.cache.survey import HOST, place_of, survey
from nodegraph.cache.tensors import is_plain_class, is_tensor, parts_of

FORMAT: Final = "1"
_ATOMS: Final = (str, int, float, bool, type(None))
_LENGTH: Final = 8
"""Bytes at the start of a safetensors file that say how long its header is."""
_STRIDED: Final = "torch.strided"


class NotLoadedError(Exception):
    """A file names a class of a module that the process has not loaded."""


class Stored(NamedTuple):
    """A result out of a file."""

    held: Held
    seconds: float


def encode(held: Held, seconds: float) -> bytes | None:
    """Return a node's outputs as a file; None if some of them are no plain data.

    Args:
        held: the outputs.
        seconds: that their computation took.
    """
    from safetensors.numpy import save  # here: commands that compute nothing do without

    tensors: dict[str, Any] = {}
    try:
        structure = _Writer(tensors, held.homes).write(held.outputs)
    except _NotPlainError:
        return None
    from nodegraph.runtime.devices import tensor_bytes

    text = json.dumps(structure)
    data = {name: tensor_bytes(tensor) for name, tensor in tensors.items()}
    metadata = {
        "format": FORMAT,
        "value": text,
        "seconds": repr(seconds),
        "sha256": _digest(text, data),
    }
    return save(data, metadata)


def decode(data: bytes) -> Stored:
    """Return the outputs in a file, on the host; they remember if they were on an accelerator.

    Raises:
        ValueError: it is no such file, or not whole.
        NotLoadedError: the process can't make its values.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        metadata = read_metadata(data)
        found = cast("dict[str, Any]", load(data))
        if metadata["sha256"] != _digest(metadata["value"], found):
            message = "its hash is another one"
            raise ValueError(message)
        reader = _Reader(found)
        outputs = tuple(reader.read(json.loads(metadata["value"])))
        seconds = float(metadata["seconds"])
    except (
        SafetensorError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        message = f"it holds no result ({error})"
        raise ValueError(message) from error
    return Stored(Held.of(outputs, survey(outputs), reader.homes), seconds)


def read_metadata(start: bytes) -> dict[str, str]:
    """Return the texts in the header of a safetensors file.

    Raises:
        ValueError: it has none, or breaks off.
    """
    length = int.from_bytes(start[:_LENGTH], "little")
    found = json.loads(start[_LENGTH : _LENGTH + length])
    texts = cast("dict[str, Any]", found).get("__metadata__") if isinstance(found, dict) else None
    if not isinstance(texts, dict) or cast("dict[str, Any]", texts).get("format") != FORMAT:
        message = "its header is another one"
        raise ValueError(message)
    return cast("dict[str, str]", texts)


class _NotPlainError(Exception):
    """A value can't be written."""


class _Writer:
    """Makes JSON of a value, and collects its tensors under numbers."""

    def __init__(self, tensors: dict[str, Any], homes: Mapping[int, Any]) -> None:
        self._tensors = tensors
        self._homes = homes
        self._names: dict[int, str] = {}

    def write(self, value: Any) -> Any:
        if type(value) in _ATOMS:
            return value
        if is_tensor(value):
            return {"tensor": self._name(value), **self._facts(value)}
        parts = parts_of(value)
        kind = cast("Any", type(cast("object", value)))
        if kind is dict:
            return {"dict": [[self.write(key), self.write(part)] for key, part in parts.items()]}
        items = [self.write(part) for part in parts.values()]
        if kind in (list, tuple):
            return {kind.__name__: items}
        module = sys.modules.get(kind.__module__)
        if not is_plain_class(kind) or getattr(module, kind.__qualname__, None) is not kind:
            raise _NotPlainError
        return {"class": [kind.__module__, kind.__qualname__], "parts": items}

    def _name(self, tensor: Any) -> str:
        name = self._names.get(id(tensor))
        if name is None:
            if str(tensor.layout) != _STRIDED or tensor.is_quantized or tensor.requires_grad:
                raise _NotPlainError
            name = self._names[id(tensor)] = str(len(self._names))
            self._tensors[name] = tensor
        return name

    def _facts(self, tensor: Any) -> dict[str, Any]:
        home = tensor.device if place_of(tensor) != HOST else self._homes.get(id(tensor))
        return {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "home": None if home is None else str(home.type),
        }


class _Reader:
    """Makes a value of what `_Writer` wrote."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._made: dict[str, Any] = {}
        self.homes: dict[int, Any] = {}

    def read(self, written: Any) -> Any:
        if not isinstance(written, dict):
            return written
        (kind, content), *more = cast("dict[str, Any]", written).items()
        read: Mapping[str, Callable[[Any], Any]] = {
            "dict": lambda items: {self.read(key): self.read(part) for key, part in items},
            "list": lambda items: [self.read(item) for item in items],
            "tuple": lambda items: tuple(self.read(item) for item in items),
            "tensor": lambda name: self._tensor(name, dict(more)),
            "class": lambda names: self._value(names, dict(more)["parts"]),
        }
        return read[kind](content)

    def _tensor(self, name: str, facts: Mapping[str, Any]) -> Any:
        from nodegraph.runtime.devices import default_device, tensor_of

        tensor = self._made.get(name)
        if tensor is None:
            tensor = tensor_of(self._data[name], facts["dtype"], facts["shape"])
            self._made[name] = tensor
            device = default_device()
            if facts["home"] == device.type:
                self.homes[id(tensor)] = device
        return tensor

    def _value(self, names: tuple[str, str], parts: list[Any]) -> Any:
        module, name = names
        if module not in sys.modules:
            raise NotLoadedError(module)
        kind: Any = getattr(sys.modules[module], name)
        if not is_plain_class(kind):
            message = f"{module}.{name} is no plain data"
            raise ValueError(message)
        items = [self.read(part) for part in parts]
        if is_dataclass(cast("object", kind)):
            return kind(**dict(zip([each.name for each in fields(kind)], items, strict=True)))
        return getattr(kind, "_make", kind)(items)


def _digest(text: str, data: Mapping[str, Any]) -> str:
    digest = sha256(text.encode())
    for name in sorted(data):
        digest.update(data[name])
    return digest.hexdigest()
