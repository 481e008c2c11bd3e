"""The changes that packs give for weights: LoRAs' modules, differences, weights of other models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.patches.weight_names import NamedWeight, Rows
from nodes.models.loading.network import Network, Patches
from nodes.models.patches.lora_math import change_weight, in_float32

Value: TypeAlias = Any
"""One of the forms that ComfyUI's `add_patches` takes."""
_LORA = ("up", "down", "alpha", "mid", "dora_scale")
_DIFF, _SET = "diff", "set"
"""The kinds of whole changes."""


@dataclass(frozen=True, slots=True, eq=False)
class LoraModule:
    """One module of a LoRA: its tensors by their part, such as `up` and `down`."""

    parts: Mapping[str, Tensor]

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Return the tensors."""
        return tuple(self.parts.values())


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeight:
    """A weight of a model, which is read when it is used as a tensor."""

    network: Network
    patches: Patches
    named: NamedWeight

    def tensor(self) -> Tensor:
        """Read the weight, with its patches, in the original layout."""
        read = dict(self.network.weights(self.named.keys, self.patches))
        return self.named.layout(self.network).join(read)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the tensor."""
        return getattr(self.tensor(), name)

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        _types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch with the tensors."""
        given = {name: _read(value) for name, value in (kwargs or {}).items()}
        return function(*(_read(value) for value in args), **given)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One change of a weight: (its factor) · weight + (strength) · value."""

    value: Value
    strength: float = 1.0
    factor: float = 1.0
    """Of the weight as it was."""
    rows: Rows | None = None
    """The part of the weight that it changes; None for all of it."""

    @property
    def source(self) -> StoredWeight | None:
        """The weight of another model that it adds; None if it adds none, or a changed one."""
        value = self.value
        is_plain = isinstance(value, list) and len(cast("list[Any]", value)) == 1
        found = cast("list[Any]", value)[0][0] if is_plain else None
        return found if isinstance(found, StoredWeight) else None

    def apply(self, weight: Tensor, theirs: Tensor | None = None) -> Tensor:
        """Return a weight, in float32, after the change.

        Args:
            weight: in the original layout.
            theirs: the tensor of `source`, if it is there already.

        Raises:
            NotOfferedError: it has another size, or a form that is unknown.
        """
        if self.rows is None:
            return self._change(weight, theirs)
        whole = weight.clone()
        dim, start, size = self.rows
        part = whole.narrow(dim, start, size)
        part.copy_(self._change(part.clone(), theirs))
        return whole

    def _change(self, weight: Tensor, theirs: Tensor | None) -> Tensor:
        if self.factor != 1:
            weight = weight * self.factor
        parts = {_DIFF: theirs} if theirs is not None else parts_of(self.value)
        if not parts or (self.strength == 0 and _SET not in parts):
            return weight
        parts = in_float32(parts, weight.device)
        for name in (_DIFF, _SET):
            if name in parts and parts[name].numel() != weight.numel():
                sizes = f"{list(parts[name].shape)} for one of {list(weight.shape)}"
                what = f"a change of the shape {sizes}"
                raise NotOfferedError(what)
        return change_weight(weight, parts, self.strength)


def parts_of(value: Value) -> Mapping[str, Tensor]:
    """Return the tensors of a change by their part; none if it changes nothing.

    Raises:
        NotOfferedError: it is of an unknown form.
    """
    if isinstance(value, LoraModule):
        return value.parts
    if isinstance(value, Tensor | StoredWeight):
        return {_DIFF: _read(value)}
    if isinstance(value, list):
        (first, convert), *more = cast("list[Any]", value)
        return {_DIFF: calculate(more, convert(_read(first)).float())}
    found = cast("tuple[Any, ...]", value)
    return _parts_in(_DIFF, found) if len(found) == 1 else _parts_in(found[0], found[1])


def _parts_in(kind: str, given: Sequence[Any]) -> Mapping[str, Tensor]:
    """Return the tensors of a change of a kind; see `parts_of`."""
    if kind in (_DIFF, _SET):
        return {} if given[0] is None else {kind: _read(given[0])}
    if kind == "lora":
        named = zip(_LORA, given, strict=False)
        return {name: torch.as_tensor(each) for name, each in named if each is not None}
    what = f"a change of weights of the kind {kind!r}"
    raise NotOfferedError(what, hint="`lora`, `diff` and `set` work, and `comfy.lora.load_lora`.")


def calculate(patches: Sequence[Sequence[Any]], weight: Tensor) -> Tensor:
    """Return a weight, in float32, after changes as `ModelPatcher.patches` has them.

    Args:
        patches: each (strength, value, factor of the weight, rows or None, function or None).
        weight: any.
    """
    weight = weight.float()
    for strength, value, factor, *more in patches:
        rows = more[0] if more else None
        convert = more[1] if len(more) > 1 else None
        changed = Change(value, float(strength), float(factor), rows).apply(weight)
        weight = weight + convert(changed - weight) if convert else changed
    return weight


def _read(value: Any) -> Any:
    return value.tensor() if isinstance(value, StoredWeight) else value
