"""Tensors of two devices at the border of a node."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from nodegraph.execution.call import bring_together
from nodes.values import Cond, Conditioning, Latent
from tests.simulated_device.conftest import loaded_device, simulated

__all__ = ["loaded_device", "simulated"]


@dataclass(frozen=True)
class Handle:
    __socket__: ClassVar = "HANDLE"

    table: torch.Tensor


def test_what_is_on_the_host_goes_to_the_accelerator_of_the_rest(simulated):
    card, host = simulated.device, torch.ones(1, 4)
    inputs: dict[str, Any] = {
        "latent": Latent(host.to(card), noise_mask=host),
        "text": Conditioning((Cond(host, extras={"more": [host]}),)),
        "levels": host,
        "model": Handle(host),
        "steps": 3,
    }

    found: Any = bring_together(inputs, {"levels"})

    (cond,) = found["text"].conds
    moved = [found["latent"].noise_mask, cond.tokens, cond.extras["more"][0]]
    assert {tensor.device for tensor in moved} == {card}
    assert found["latent"].samples is inputs["latent"].samples
    assert (found["levels"], found["model"], found["steps"]) == (host, inputs["model"], 3)


def test_inputs_of_one_device_stay_as_they_are(simulated):
    host: dict[str, Any] = {"image": torch.ones(2), "mask": torch.ones(2)}
    card: dict[str, Any] = {name: tensor.to(simulated.device) for name, tensor in host.items()}
    simulated.reset()

    assert bring_together(host, ()) == host
    assert bring_together(card, ()) == card
    assert simulated.counters().copies_to_device == 0
