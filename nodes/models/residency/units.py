"""The units of a network: parts whose weights move between host and device as one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import cast

from torch import nn

ALIGNMENT = 128
"""Bytes: where a weight begins in a unit's buffer is a multiple of this."""
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


@dataclass(frozen=True, slots=True)
class Parts:
    """The facts about a class of network that its modules do not tell."""

    uncalled: tuple[str, ...] = ()
    """Patterns of names of modules that are not called: others read what they hold."""
    tables: tuple[str, ...] = ()
    """The names of embeddings whose rows may be looked up on the host."""
    seldom: tuple[str, ...] = ()
    """Patterns of names of modules that are seldom called."""
    divisible: tuple[str, ...] = ()
    """Patterns of names of attentions whose layers are called, and not read by name."""


EVERY_PART = Parts()
"""Every module is called."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A module whose weights are there while it is called, and need not be at other times."""

    name: str
    keys: tuple[str, ...]
    """Of its weights."""
    nbytes: int
    """Of its weights, each in memory of its own."""
    flat_nbytes: int
    """Of its weights in one buffer, each at a multiple of `ALIGNMENT`."""
    is_seldom: bool = False


@dataclass(frozen=True, slots=True)
class Division:
    """The weights of a network by their freedom to leave the device."""

    units: tuple[Unit, ...]
    """In the order in which the network calls them, as far as its modules tell."""
    tables: tuple[str, ...]
    """Weights whose rows may be looked up on the host."""
    fixed: tuple[str, ...]
    """Weights that stay on the device."""


def align(nbytes: int) -> int:
    """Return a size rounded up to a multiple of `ALIGNMENT`."""
    return -(nbytes // -ALIGNMENT) * ALIGNMENT


def divide(
    network: nn.Module, sizes: Mapping[str, int], largest: int = 0, parts: Parts = EVERY_PART
) -> Division:
    """Divide a network into units.

    Args:
        network: its modules; their weights are not read.
        sizes: the bytes of each weight in memory; those of none stay.
        largest: modules up to so many bytes are one unit; larger ones are taken apart until
            nothing smaller can be called by itself.
        parts: of a network of its class.
    """
    found = _Finder(sizes, largest, parts)
    found.visit(network, "")
    return Division(tuple(found.units), tuple(found.tables), tuple(found.fixed))


@dataclass(slots=True)
class _Finder:
    """Goes from a network down to its units."""

    sizes: Mapping[str, int]
    largest: int
    parts: Parts
    units: list[Unit] = field(default_factory=list[Unit])
    tables: list[str] = field(default_factory=list[str])
    fixed: list[str] = field(default_factory=list[str])

    def visit(self, module: nn.Module, name: str) -> None:
        """Find the units of a module that is none itself."""
        self.fixed += self._own_keys(module, name)
        for child_name, child in _children(module):
            path = f"{name}.{child_name}" if name else child_name
            if path in self.parts.tables:
                self.tables += self._own_keys(child, path)
            elif (unit := self._unit(child, path)) is not None:
                self.units.append(unit)
            else:
                self.visit(child, path)

    def _unit(self, module: nn.Module, name: str) -> Unit | None:
        """Return a module as a unit if it can be one, and is not better taken apart."""
        if isinstance(module, _CONTAINERS) or _matches(name, self.parts.uncalled):
            return None
        is_seldom = _matches(name, self.parts.seldom)
        if not is_seldom and self._has_seldom(module, name):
            return None
        keys = tuple(self._keys(module, name))
        flat = sum(align(self.sizes[key]) for key in keys)
        if not keys or (flat > self.largest and not self._is_whole(module, name)):
            return None
        own = sum(self.sizes[key] for key in keys)
        return Unit(name, keys, own, flat, is_seldom)

    def _is_whole(self, module: nn.Module, name: str) -> bool:
        """Return True for a module that is not taken apart.

        An attention's layers may be read by name: by its processor, or by torch's own `forward`.
        """
        if not any(True for _ in module.children()):
            return True
        is_attention = type(module).__name__.endswith("Attention")
        return is_attention and not _matches(name, self.parts.divisible)

    def _has_seldom(self, module: nn.Module, name: str) -> bool:
        """Return True if something in a module is called less often than the module."""
        modules = cast("Iterator[tuple[str, nn.Module]]", module.named_modules(prefix=name))
        return any(_matches(each, self.parts.seldom) for each, _ in modules if each != name)

    def _keys(self, module: nn.Module, name: str) -> Iterator[str]:
        """Yield the weights of a module and of all inside it."""
        for inner, each in cast("Iterator[tuple[str, nn.Module]]", module.named_modules()):
            keys = self._own_keys(each, f"{name}.{inner}" if inner else name)
            yield from (key for key in keys if self.sizes[key])

    def _own_keys(self, module: nn.Module, name: str) -> list[str]:
        """Return the weights that a module itself has."""
        prefix = f"{name}." if name else ""
        own = (*module._parameters, *module._buffers)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return [key for each in own if (key := prefix + each) in self.sizes]


def _children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return a module's children in the order in which diffusers' blocks call them.

    A U-Net has its middle after its way up, and the attentions of a level before its convolutions;
    FLUX's single blocks have their attention at the end.
    """
    children = dict(module.named_children())
    resnets, attentions = children.get("resnets"), children.get("attentions")
    if isinstance(resnets, nn.ModuleList) and isinstance(attentions, nn.ModuleList):
        del children["resnets"], children["attentions"]
        return [*_in_turn(resnets, attentions), *children.items()]
    if "mid_block" in children and "up_blocks" in children:
        middle = children.pop("mid_block")
        pairs = list(children.items())
        before = list(children).index("up_blocks")
        return [*pairs[:before], ("mid_block", middle), *pairs[before:]]
    if "attn" in children and "proj_out" in children:
        children["proj_out"] = children.pop("proj_out")
    return list(children.items())


def _in_turn(resnets: nn.ModuleList, attentions: nn.ModuleList) -> Iterator[tuple[str, nn.Module]]:
    """Yield the convolutions and attentions of a level as they are called: one after the other."""
    for number in range(max(len(resnets), len(attentions))):
        if number < len(resnets):
            yield f"resnets.{number}", resnets[number]
        if number < len(attentions):
            yield f"attentions.{number}", attentions[number]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
