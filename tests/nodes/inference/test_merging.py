"""Model calls of several runs that are made as one: the images stay those of each run alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from nodegraph.errors import RunCancelledError
from nodegraph.runtime.call_merger import CallMerger
from nodegraph.runtime.run_environment import RunEnvironment, use_environment
from nodes.builtin.sampling.ksampler import ksampler
from nodes.inference.merging import open_denoiser
from nodes.inference.row_split import SplittingDenoiser
from nodes.models.loading import text_model
from nodes.models.loading.handles import ClipHandle
from nodes.models.networks.modifiers.freeu import FreeU
from nodes.models.text.encode import encode
from nodes.models.text.textual_inversion import Embeddings
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.handles import opened
from tests.tiny_models.samplable import samplable

FAMILIES = ("sd15", "sd21", "sdxl", "refiner", "sd3", "flux", "schnell")
USUAL = ("sd15", "flux")
"""The families that run by default."""
SAMPLERS = ("euler", "dpmpp_2m", "dpmpp_2m_sde", "heun", "lcm")
PATIENT = 60.0
"""Seconds to wait for others where a test has them come for certain."""
SHORT = "out of memory"
RUNS = (
    {"seed": 1, "cfg": 3.0, "steps": 4, "sampler_name": "euler", "prompt": 0.3},
    {"seed": 2, "cfg": 7.5, "steps": 4, "sampler_name": "dpmpp_2m", "prompt": 0.4},
    {"seed": 3, "cfg": 1.5, "steps": 5, "sampler_name": "euler_ancestral", "prompt": 0.5},
)
"""Runs that share nothing but the model and the sizes."""


def sample(kind, ctx, *, seed, cfg, steps, sampler_name, prompt, **options):
    """Return the samples of one run."""
    given: dict[str, Any] = {
        "scheduler": "normal",
        "denoise": 1.0,
        "latent_image": kind.blank(),
        **options,
    }
    out = ksampler(
        model=kind.model, seed=seed, steps=steps, cfg=cfg, sampler_name=sampler_name,
        positive=kind.text(prompt), negative=kind.text(0.7), ctx=ctx, **given,
    )  # fmt: skip
    return out.samples


class GatheringMerger(CallMerger):
    """Lets no run make its first call before all of them take part; it waits for late ones."""

    def __init__(self, runs):
        super().__init__(PATIENT)
        self._gate = threading.Barrier(runs)

    @contextmanager
    def participate(self, family):
        with super().participate(family) as participant:
            self._gate.wait(PATIENT)
            yield participant


def sample_together(runs, begin, merger):
    """Call `begin(run)` for all runs at once, with their model calls merged."""
    gate = threading.Barrier(len(runs))

    def work(run):
        with use_environment(RunEnvironment(merger=merger)):
            gate.wait()
            return begin(run)

    with ThreadPoolExecutor(len(runs)) as pool:
        return list(pool.map(work, runs))


def relative_difference(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=() if name in USUAL else pytest.mark.slow)  # one of each kind
        for name in FAMILIES
    ],
)
def test_merged_runs_give_the_latents_of_runs_alone(tmp_path, family):
    kind, merger = samplable(tmp_path, family), GatheringMerger(len(RUNS))
    alone = [sample(kind, Bench(tmp_path), **run) for run in RUNS]

    merged = sample_together(RUNS, lambda run: sample(kind, Bench(tmp_path), **run), merger)

    for found, expected in zip(merged, alone, strict=True):
        assert relative_difference(found, expected) < 1e-5
    assert merger.counts == (4 + 4 + 5, 5)


@pytest.mark.slow  # every sampler of note with every family
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_merged_samplers_give_the_latents_of_runs_alone(tmp_path, family, sampler):
    kind, merger = samplable(tmp_path, family), GatheringMerger(len(RUNS))
    runs = [{**run, "sampler_name": sampler, "steps": 6} for run in RUNS]
    alone = [sample(kind, Bench(tmp_path), **run) for run in runs]

    merged = sample_together(runs, lambda run: sample(kind, Bench(tmp_path), **run), merger)

    differences = [relative_difference(a, b) for a, b in zip(merged, alone, strict=True)]
    print(f"{family} {sampler}: {max(differences):.1e}, {merger.counts}")
    assert max(differences) < 1e-4


def test_runs_of_other_sizes_and_batches_share_what_fits(tmp_path):
    kind, merger = samplable(tmp_path), CallMerger()
    latents = [kind.blank(2), kind.blank(1), kind.blank(1, 16), kind.blank(3)]
    runs = [{**RUNS[0], "seed": n, "latent_image": latent} for n, latent in enumerate(latents)]
    alone = [sample(kind, Bench(tmp_path), **run) for run in runs]

    merged = sample_together(runs, lambda run: sample(kind, Bench(tmp_path), **run), merger)

    for found, expected in zip(merged, alone, strict=True):
        assert relative_difference(found, expected) < 1e-5


def test_changes_that_depend_on_the_level_are_merged_at_equal_levels_only(tmp_path):
    kind, merger = samplable(tmp_path), CallMerger()
    freed = kind._replace(model=kind.model.with_alteration(FreeU((1.3, 1.4), (0.9, 0.2))))
    runs = [{**RUNS[0], "steps": steps, "seed": steps} for steps in (3, 3, 5)]
    alone = [sample(freed, Bench(tmp_path), **run) for run in runs]

    merged = sample_together(runs, lambda run: sample(freed, Bench(tmp_path), **run), merger)

    for found, expected in zip(merged, alone, strict=True):
        assert relative_difference(found, expected) < 1e-5


class Cancelling(Bench):
    """A context whose run is cancelled after some checks."""

    left = 2

    def check_cancelled(self):
        self.left -= 1
        if self.left < 0:
            raise RunCancelledError


def test_a_cancelled_run_leaves_the_others(tmp_path):
    kind, merger = samplable(tmp_path), CallMerger(PATIENT)
    expected = sample(kind, Bench(tmp_path), **RUNS[0])

    def begin(number):
        try:
            ctx = Cancelling(tmp_path) if number == 1 else Bench(tmp_path)
            return sample(kind, ctx, **RUNS[0])
        except RunCancelledError:
            return None

    first, cancelled, last = sample_together(range(3), begin, merger)

    assert cancelled is None
    assert relative_difference(first, expected) < 1e-5
    assert relative_difference(last, expected) < 1e-5


def test_a_call_that_is_too_large_together_is_made_alone(tmp_path, monkeypatch):
    kind, merger = samplable(tmp_path), CallMerger(PATIENT)
    expected = sample(kind, Bench(tmp_path), **RUNS[0])
    network = kind.model.model.network
    forward = network.module().forward

    def of_few_rows(x, *args, **kwargs):
        if len(x) > 2:
            raise torch.OutOfMemoryError(SHORT)
        return forward(x, *args, **kwargs)

    monkeypatch.setattr(network.module(), "forward", of_few_rows)
    runs = [RUNS[0], RUNS[0]]

    merged = sample_together(runs, lambda run: sample(kind, Bench(tmp_path), **run), merger)

    assert all(torch.equal(found, expected) for found in merged)


def test_without_the_setting_each_run_makes_its_own_calls(tmp_path):
    kind = samplable(tmp_path)
    with open_denoiser(kind.model, Bench(tmp_path)) as denoiser:
        assert type(denoiser) is SplittingDenoiser


def test_prompts_that_wait_for_an_encoder_share_its_pass(tmp_path, monkeypatch):
    clip = ClipHandle(opened(write(tmp_path / "model.safetensors", small_sd15())).text)
    words = ["a red cat", "a (blue:1.3) dog", "", "a tree " * 40]
    alone = [clip.encode(text, Embeddings(None, print)) for text in words]
    merger, sizes = CallMerger(), []
    begun, waiting = threading.Event(), threading.Event()

    def slow_encode(network, prompts, rules, layer, seen):
        sizes.append(len(prompts))
        begun.set()
        waiting.wait(60)
        return encode(network, prompts, rules, layer, seen)

    monkeypatch.setattr(text_model, "encode", slow_encode)

    def work(text):
        with use_environment(RunEnvironment(merger=merger)):
            return clip.encode(text, Embeddings(None, print))

    with ThreadPoolExecutor(len(words)) as pool:
        first = pool.submit(work, words[0])
        assert begun.wait(60)
        others = [pool.submit(work, text) for text in words[1:]]
        while merger.counts[0] < len(words):
            time.sleep(0.001)
        waiting.set()
        merged = [first.result(60), *(other.result(60) for other in others)]

    assert sizes == [1, 3]
    for found, expected in zip(merged, alone, strict=True):
        assert relative_difference(found.tokens, expected.tokens) < 1e-5
