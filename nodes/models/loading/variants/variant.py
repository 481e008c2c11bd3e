"""The name of a variant of a network's weights, and what is kept in memory of one."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nodes.models.residency.placement import PlacedWeights

MODULES_KEPT = 4


class Variant(NamedTuple):
    """The difference of a network's weights from those in its file."""

    patches: tuple[Hashable, ...] = ()
    dtype: torch.dtype | None = None
    """The dtype of all weights once they are patched; None is that of the placement."""


@dataclass(slots=True)
class KeptVariant:
    """The weights of one variant, and the modules that compute with them."""

    weights: Mapping[str, Tensor]
    """All of them, by the network's keys, in its order."""
    placed: PlacedWeights
    """The same in their places, which modules are built with."""
    modules: OrderedDict[Hashable, nn.Module] = field(default_factory=OrderedDict)
    """Modules by what was altered in them, the one that was used last at the end."""

    def keep(self, key: Hashable, module: nn.Module) -> nn.Module:
        """Keep a module, and forget the one that is used the longest ago if they are too many."""
        self.modules[key] = module
        while len(self.modules) > MODULES_KEPT:
            self.modules.popitem(last=False)
        return module

    def find(self, key: Hashable) -> nn.Module | None:
        """Return a module if it is there, which is its latest use."""
        if key in self.modules:
            self.modules.move_to_end(key)
        return self.modules.get(key)

    def trim(self) -> bool:
        """Forget all modules but the one that was used last; False if there are no others."""
        others = list(self.modules)[:-1]
        for key in others:
            del self.modules[key]
        return bool(others)

    def tensors(self) -> Iterator[Tensor]:
        """Yield every tensor that it keeps in memory, some several times."""
        yield from self.weights.values()
        yield from self.placed.slots
        for module in self.modules.values():
            yield from module.state_dict().values()
