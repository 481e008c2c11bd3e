"""The noise levels that steps jump to, as networks that are told them see them."""

import pytest
import torch

from nodes.models.networks.base.jumps import TARGET, next_level, target_of, with_target
from nodes.sampling.noise_schedule.parameterization import Flow
from nodes.values import CondBatch

LEVELS = torch.tensor([1.0, 0.8, 0.5, 0.0])


@pytest.mark.parametrize(
    ("level", "expected"),
    [(1.0, 0.8), (0.8, 0.5), (0.80000001, 0.5), (0.7, 0.5), (0.5, 0.0), (0.1, 0.0)],
)
def test_a_step_jumps_to_the_next_lower_level_of_the_schedule(level, expected):
    found = next_level(torch.tensor([level, 1.0]), LEVELS)

    torch.testing.assert_close(found, torch.tensor([expected, 0.8]))


def test_a_call_outside_of_runs_jumps_to_the_clean_latent():
    assert next_level(torch.tensor([0.3, 1.0]), None).tolist() == [0.0, 0.0]
    assert target_of({}, torch.tensor([0.3, 1.0])).tolist() == [0.0, 0.0]


def test_each_row_has_its_target_as_the_network_counts_time():
    cond = CondBatch(torch.zeros(2, 1, 4), extras={"guidance": torch.ones(2)})

    told = with_target(cond, torch.tensor([1.0, 0.5]), LEVELS, Flow.with_shift(3.0))

    assert told.extras.keys() == {"guidance", TARGET}
    torch.testing.assert_close(told.extras[TARGET], torch.tensor([800.0, 0.0]))
    assert target_of(told.extras, torch.ones(2)).tolist() == told.extras[TARGET].tolist()
