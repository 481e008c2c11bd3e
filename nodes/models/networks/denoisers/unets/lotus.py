"""The U-Net of Lotus, which is told its task: to give depth or normals, not the picture itself."""

from dataclasses import replace

import torch

from nodes.models.networks.denoisers.unets import unet
from nodes.models.networks.denoisers.unets.unclip import VECTOR
from nodes.sampling.conditioning.cond import Cond
from nodes.sampling.conditioning.denoiser import Branch

_TASK = (1.0, 0.0)
"""The answer; (0, 1) would be the picture itself, which only training asks for."""


class LotusAdapter(unet.UNetAdapter):
    """Calls Lotus' U-Net; see `nodes.models.networks.base.builder.Adapter`."""

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the task: its sines, then its cosines, [1, 4]."""
        cond = super().conditions(cond, size, branch)
        task = torch.tensor([_TASK])
        return replace(cond, extras={**cond.extras, VECTOR: torch.cat([task.sin(), task.cos()], 1)})


NETWORK = replace(unet.NETWORK, kind="lotus", title="Lotus", adapter=LotusAdapter())
