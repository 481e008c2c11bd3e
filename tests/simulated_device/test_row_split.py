"""Batches that the device has too little memory for: model calls with fewer rows."""

import pytest
import torch

from nodegraph.execution.weights_budget import AcceleratorMemory
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodegraph.runtime.run_models import RunModels
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading import forward
from tests.nodes.bench import Bench
from tests.tiny_models.samplable import samplable

BATCH, SIZE = 3, 32
MARGIN = 4 << 20
"""Bytes for what a run keeps besides: the latents, and keys and values of the text."""


def sample(kind, bench):
    models = RunModels(bench.models, None)
    with use_environment(RunEnvironment(models=models)):
        made = ksampler(
            model=kind.model, seed=1, steps=2, cfg=3.0, sampler_name="euler", scheduler="normal",
            positive=kind.text(0.3), negative=kind.text(0.7),
            latent_image=kind.blank(BATCH, SIZE), denoise=1.0, ctx=bench,
        )  # fmt: skip
    models.end()
    return made.samples.cpu()


@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_a_batch_that_does_not_fit_is_computed_in_parts(simulated, monkeypatch, tmp_path, family):
    kind, uses, rows = samplable(tmp_path, family), list[int](), list[int]()
    known, denoise = forward.use_of, forward.denoise

    def note_use(model, x, cond):
        use = known(model, x, cond)
        uses.append(use.activations or 0)
        return use

    def note_call(model, x, *rest):
        rows.append(len(x))
        return denoise(model, x, *rest)

    monkeypatch.setattr("nodes.inference.row_split.use_of", note_use)
    monkeypatch.setattr("nodes.inference.row_split.denoise", note_call)
    bench = Bench(tmp_path, models=ModelPool(1 << 40, AcceleratorMemory(reserve=MARGIN)))
    whole = sample(kind, bench)
    assert (rows, bench.notices) == ([2 * BATCH] * 2, [])
    rows.clear()
    network = kind.model.model.network
    live = simulated.live_bytes() - network.held_bytes
    simulated.set_budget(live + network.least_bytes + int(0.7 * max(uses)) + MARGIN)
    simulated.reset()

    parts = sample(kind, bench)

    assert simulated.counters().refusals == 0
    assert len(bench.notices) == 1
    assert "not enough memory for 6 images and prompts at once" in bench.notices[0]
    assert sum(rows) == 2 * 2 * BATCH
    assert max(rows) < 2 * BATCH
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)
