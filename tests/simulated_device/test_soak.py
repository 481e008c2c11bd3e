"""Mixed prompts, cancels and lack of memory leave nothing behind and change no result."""

import pytest
import torch

from tests.simulated_device.served import serving_device
from tests.simulated_device.served_soak import BUDGET, FLAGS, ServerSoak
from tests.simulated_device.soak import NAMES, Soak

FEW = ("flux", "lora_flux", "gguf_lora")
"""Workflows over small files."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "count"),
    [(FEW, 20), (NAMES, 300)],
    ids=["few", "many"],
)
def test_nothing_is_left_of_mixed_prompts(simulated, tmp_path, names, count):
    soak = Soak(tmp_path, simulated, names)
    soak.run(count // 2)  # which makes what is made once
    expected, before = soak.probe(), soak.left()

    soak.run(count)

    assert torch.equal(soak.probe(), expected)
    after = soak.left()
    print(before, after, dict(soak.outcomes), sep="\n")
    assert soak.outcomes["cancelled"]
    assert soak.outcomes["made"] > count
    assert (after.threads, after.files) == (before.threads, before.files)
    assert after.device - before.device <= 4096  # the places in grids of new sizes
    assert after.objects <= 1.03 * before.objects
    assert after.rss <= 1.2 * before.rss


@pytest.mark.slow
def test_nothing_is_left_of_them_in_a_server_and_its_worker(loaded_device, tmp_path):
    with serving_device(tmp_path, FLAGS, budget=BUDGET) as server:
        soak = ServerSoak(server)
        soak.run(100)  # which makes what is made once
        expected, before = soak.probe(), soak.left()

        soak.run(200)

        assert torch.equal(soak.probe(), expected)
        after = soak.left()
    print(before, after, dict(soak.outcomes), sep="\n")
    assert soak.outcomes["cancelled"]
    assert soak.outcomes["succeeded"] > 200
    assert after.workers == before.workers
    assert (after.worker.threads, after.worker.files) == (
        before.worker.threads,
        before.worker.files,
    )
    assert after.worker.device - before.worker.device <= 4096
    assert after.worker.objects <= 1.03 * before.worker.objects
    assert after.worker.rss <= 1.2 * before.worker.rss
    assert after.server_rss <= 1.3 * before.server_rss
