"""Compiled blocks of networks whose weights are not all on the device, and move."""

import gc

import pytest
import torch

from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.models.weights.errors import UnavailableHereError
from tests.nodes.models.test_compiled import from_scratch, graphs
from tests.nodes.models.test_compiled_blocks import compiled, predicted
from tests.tiny_models.samplable import samplable

__all__ = ["from_scratch"]

pytestmark = pytest.mark.usefixtures("from_scratch")


def test_parked_blocks_are_compiled_and_parked_parts_of_blocks_computed_as_they_are(
    simulated, tmp_path
):
    kind = samplable(tmp_path, "flux")
    network, model = kind.model.model.network, compiled(kind.model)
    expected = predicted(kind, kind.model).cpu()
    nbytes = network.held_bytes

    for share in (1.0, 0.6, 0.15):
        network.resize(int(share * nbytes))
        assert torch.equal(predicted(kind, model).cpu(), expected)

    assert graphs() == 2


@pytest.mark.slow
def test_compiled_code_keeps_no_weights(simulated, tmp_path):
    kind = samplable(tmp_path, "flux")
    network = kind.model.model.network

    def left_by(model: ModelHandle) -> int:
        predicted(kind, model)
        network.unload()
        gc.collect()
        return simulated.counters().live_bytes

    assert left_by(kind.model) == left_by(compiled(kind.model))


def test_a_whole_network_is_not_compiled_without_all_its_weights(simulated, tmp_path):
    kind = samplable(tmp_path, "flux")
    kind.model.model.network.resize(kind.model.model.network.nbytes() // 2)
    model = kind.model.with_alteration(TorchCompile("eager"))

    with pytest.raises(UnavailableHereError, match="needs all weights on the device"):
        predicted(kind, model)
