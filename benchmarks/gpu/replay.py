"""The calls of a network, kept, and made again in a bare loop: what an image costs at the least."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from nodes.models.loading.handles import ModelHandle, VaeHandle


@dataclass(slots=True)
class Calls:
    """The calls of some modules, in their order."""

    made: list[tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = field(
        default_factory=list[tuple[nn.Module, tuple[Any, ...], dict[str, Any]]]
    )
    results: list[Tensor] = field(default_factory=list[Tensor])

    def replay(self) -> list[Tensor]:
        """Make all calls again; returns their results."""
        with torch.no_grad():
            return [_first(module(*args, **kwargs)) for module, args, kwargs in self.made]

    def difference(self) -> float:
        """Return the largest difference of a replay from the first time, by its largest number."""
        pairs = list(zip(self.replay(), self.results, strict=True))
        return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@contextmanager
def record_calls(*modules: nn.Module) -> Generator[Calls]:
    """Keep the calls of these modules that are made while the block lasts."""
    calls = Calls()

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.made.append((module, _copied(args), _copied(kwargs)))

    def after(_: nn.Module, __: object, result: object) -> None:
        calls.results.append(_first(result).clone())

    handles = [each.register_forward_pre_hook(before, with_kwargs=True) for each in modules]
    handles += [each.register_forward_hook(after) for each in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def networks_of(model: ModelHandle, vae: VaeHandle) -> tuple[nn.Module, nn.Module]:
    """Return the modules that an image takes: the denoiser, and the decoder of the VAE."""
    decoder = cast("Any", vae.vae.network.module(dtype=vae.compute)).decoder
    return model.model.network.module(), decoder


def _copied(value: Any) -> Any:
    copy: Callable[[Any], Any] = lambda x: x.clone() if isinstance(x, Tensor) else x  # noqa: E731
    return _pytree.tree_map(copy, value)


def _first(result: object) -> Tensor:
    if isinstance(result, Tensor):
        return result
    return cast("tuple[Tensor, ...]", result)[0]
