"""Batches that the device has too little memory for: model calls with fewer rows."""

import pytest
import torch

from nodegraph.execution.weights_budget import AcceleratorMemory
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.run_environment import run_environment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.builtin.conditioning.controlnets import control_net_apply_advanced, control_net_loader
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading import forward
from tests.nodes.bench import Bench
from tests.nodes.inference.test_merging import GatheringMerger, sample_together
from tests.nodes.pictures import picture
from tests.tiny_models.checkpoints import SMALL_SD15, small_controlnet, write
from tests.tiny_models.samplable import samplable

BATCH, SIZE = 3, 32
MARGIN = 4 << 20
"""Bytes for what a run keeps besides: the latents, and keys and values of the text."""


def sample(kind, bench, control=None, seed=1):
    models, given = RunModels(bench.models, None), run_environment()
    positive, negative = kind.text(0.3), kind.text(0.7)
    if control is not None:
        shown = picture(BATCH, 8 * SIZE, 8 * SIZE)
        steered = control_net_apply_advanced(positive, negative, control, shown, 1.0)
        positive, negative = steered.positive, steered.negative
    with use_environment(given._replace(models=models)):
        made = ksampler(
            model=kind.model, seed=seed, steps=2, cfg=3.0, sampler_name="euler",
            scheduler="normal", positive=positive, negative=negative,
            latent_image=kind.blank(BATCH, SIZE), denoise=1.0, ctx=bench,
        )  # fmt: skip
    models.end()
    return made.samples.cpu()


class Calls:
    """The rows of each model call, and the bytes that each needs beside weights."""

    def __init__(self, monkeypatch) -> None:
        self.rows, self.uses = list[int](), list[int]()
        known, denoise = forward.use_of, forward.denoise

        def note_use(model, x, cond):
            use = known(model, x, cond)
            self.uses.append(use.activations or 0)
            return use

        def note_call(model, x, *rest):
            self.rows.append(len(x))
            return denoise(model, x, *rest)

        monkeypatch.setattr("nodes.inference.row_split.use_of", note_use)
        for module in ("row_split", "merging"):
            monkeypatch.setattr(f"nodes.inference.{module}.denoise", note_call)


def limit(simulated, networks, calls, part=0.7):
    """Let the device have room for a part of what the largest call takes beside weights."""
    live = simulated.live_bytes() - sum(network.held_bytes for network in networks)
    least = sum(network.least_bytes for network in networks)
    simulated.set_budget(live + least + int(part * max(calls.uses)) + MARGIN)
    simulated.reset()
    calls.rows.clear()


@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_a_batch_that_does_not_fit_is_computed_in_parts(simulated, monkeypatch, tmp_path, family):
    kind, calls = samplable(tmp_path, family), Calls(monkeypatch)
    bench = Bench(tmp_path, models=ModelPool(1 << 40, AcceleratorMemory(reserve=MARGIN)))
    whole = sample(kind, bench)
    assert (calls.rows, bench.notices) == ([2 * BATCH] * 2, [])
    limit(simulated, [kind.model.model.network], calls)

    parts = sample(kind, bench)

    assert simulated.counters().refusals == 0
    assert len(bench.notices) == 1
    assert "not enough memory for 6 images and prompts at once" in bench.notices[0]
    assert sum(calls.rows) == 2 * 2 * BATCH
    assert max(calls.rows) < 2 * BATCH
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_each_image_of_a_batch_in_parts_follows_its_own_hint(simulated, monkeypatch, tmp_path):
    kind, calls = samplable(tmp_path), Calls(monkeypatch)
    write(tmp_path / "models" / "controlnet" / "a.safetensors", small_controlnet(SMALL_SD15))
    bench = Bench(tmp_path, models=ModelPool(1 << 40, AcceleratorMemory(reserve=MARGIN)))
    control = control_net_loader("a.safetensors", bench)
    whole = sample(kind, bench, control)
    assert (calls.rows, bench.notices) == ([2 * BATCH] * 2, [])
    limit(simulated, [kind.model.model.network, control.network], calls)

    parts = sample(kind, bench, control)

    assert simulated.counters().refusals == 0
    assert sum(calls.rows) == 2 * 2 * BATCH
    assert max(calls.rows) < 2 * BATCH
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(whole[0] - whole[1], sample(kind, bench)[0] - whole[1], atol=1e-3)


def test_calls_of_several_runs_that_do_not_fit_together(simulated, monkeypatch, tmp_path):
    kind, calls = samplable(tmp_path), Calls(monkeypatch)
    bench = Bench(tmp_path, models=ModelPool(1 << 40, AcceleratorMemory(reserve=MARGIN)))
    alone = [sample(kind, bench, seed=seed) for seed in (1, 2)]
    limit(simulated, [kind.model.model.network], calls, part=1.4)

    merged = sample_together(
        (1, 2), lambda seed: sample(kind, bench, seed=seed), GatheringMerger(2)
    )

    assert simulated.counters().refusals == 0
    assert sum(calls.rows) == 2 * 2 * 2 * BATCH
    assert 2 * BATCH <= max(calls.rows) < 4 * BATCH
    assert "not enough memory for 12 images and prompts at once" in bench.notices[0]
    for found, expected in zip(merged, alone, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
