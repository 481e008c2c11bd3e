"""GLIGEN: layers added to a U-Net that read boxes with a text each (Li et al. 2023).

arXiv:2301.07093. The files hold these layers alone, under their names in the original layout of
the whole network.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nodes.models.families.adapters.gligen import gligen_prefix
from nodes.models.families.base.ldm_keys import unet_table
from nodes.models.loading.network import Network
from nodes.models.loading.variants.patched_weights import PatchedWeights
from nodes.models.loading.variants.widening import with_gligen
from nodes.models.networks.factory import network_class, skeleton
from nodes.models.patches.errors import ModelMismatchError
from nodes.models.weights.header import Header, read_header
from nodes.models.weights.key_table import KeyTable
from nodes.models.weights.reader import open_tensors


@dataclass(frozen=True, slots=True)
class GligenHandle:
    """A GLIGEN file, which is a patch; equal to another by its content."""

    __socket__: ClassVar = "GLIGEN"

    identity: str
    header: Header = field(compare=False)
    prefix: str = field(compare=False)

    @property
    def touches(self) -> frozenset[str]:
        """Empty: a network without the patch has none of these weights."""
        return frozenset()

    @torch.no_grad()
    def apply(self, network: Network, weights: PatchedWeights) -> Iterator[dict[str, Tensor]]:
        """Yield the new layers' weights; see `nodes.models.loading.network.Patch`.

        Raises:
            ModelMismatchError: they were made for another network.
        """
        del weights
        place, table = network.placement, self._table(network)
        with open_tensors(self.header.path) as file:
            for key, source in table.items():
                yield {key: file.get_tensor(source.key).to(place.device, place.dtype)}

    def _table(self, network: Network) -> KeyTable:
        spec, path = network.spec, self.header.path
        if not network_class(spec.kind).cross_attends:
            raise ModelMismatchError(path, code="gligen_mismatch")
        state = skeleton(replace(spec, config=with_gligen(spec.config))).state_dict()
        table = unet_table(state, self.prefix)
        own = {key: source for key, source in table.items() if key not in network.table}
        if any(self._shape(source.key) != state[key].shape for key, source in own.items()):
            raise ModelMismatchError(path, code="gligen_mismatch")
        return own

    def _shape(self, key: str) -> tuple[int, ...] | None:
        return self.header.shape(key) if key in self.header else None


def open_gligen(path: Path, identity: str) -> GligenHandle:
    """Open a file; reads its header only.

    Raises:
        UnrecognisedFileError: it is another.
    """
    header = read_header(path)
    return GligenHandle(identity, header, gligen_prefix(header))
