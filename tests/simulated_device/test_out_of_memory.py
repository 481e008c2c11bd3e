"""Models on a device that is too small for them."""

import pytest
import torch

from nodegraph.runtime.out_of_memory import WeightsMemoryError
from tests.tiny_models.samplable import samplable


def test_weights_that_do_not_fit_are_told_from_activations(simulated, tmp_path):
    network = samplable(tmp_path).model.model.network
    simulated.set_budget(simulated.live_bytes() + network.nbytes() // 2)

    with pytest.raises(WeightsMemoryError, match="simulated out of memory"):
        network.module()
    simulated.set_budget()

    assert next(network.module().parameters()).device == simulated.device


def test_so_are_those_of_a_changed_copy(simulated, tmp_path):
    network = samplable(tmp_path).model.model.network
    network.module()
    simulated.set_budget(simulated.live_bytes() + network.nbytes() // 4)

    with pytest.raises(WeightsMemoryError, match="simulated out of memory"):
        network.module(dtype=torch.float64)
