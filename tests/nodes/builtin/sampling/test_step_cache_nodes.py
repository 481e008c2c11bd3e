"""Nodes that change how a model computes, or how often."""

import pytest
import torch

from nodes.builtin.sampling.ksampler import ksampler
from nodes.builtin.sampling.step_cache import (
    easy_cache,
    lazy_cache,
    model_compute_dtype,
    torch_compile_model,
)
from nodes.models.loading.forward import denoise
from nodes.models.networks.modifiers import compiled
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.models.weights.errors import UnavailableHereError
from nodes.sampling.guidance.settings import StepCacheSettings
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid
from tests.tiny_models.samplable import samplable

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sd15(tmp_path_factory):
    return samplable(tmp_path_factory.mktemp("models"))


def predicted(kind, model):
    cond = CondBatch(kind.text(0.3).conds[0].tokens)
    return denoise(model, grid((1, 4, 8, 8), 0.7), torch.tensor([1.0]), cond)


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_a_model_computes_in_the_precision_that_is_chosen(sd15, name, dtype):
    """Near to what full precision gives, and not the same; what comes out is full again."""
    changed = model_compute_dtype(sd15.model, name)
    module = changed.model.network.module((), (), dtype)

    found, plain = predicted(sd15, changed), predicted(sd15, sd15.model)

    assert {weight.dtype for weight in module.state_dict().values()} == {dtype}
    assert found.dtype == torch.float32
    assert 0 < float((found - plain).norm() / plain.norm()) < 0.05
    assert torch.equal(predicted(sd15, sd15.model), plain)


def test_the_default_precision_is_the_models_own(sd15):
    assert model_compute_dtype(model_compute_dtype(sd15.model, "fp16"), "default") == sd15.model
    full = model_compute_dtype(sd15.model, "fp32")
    assert full.model.network.module((), (), torch.float32) is sd15.model.model.network.module()


@pytest.mark.slow
def test_a_compiled_network_does_what_it_did(sd15):
    """By torch's plainest backend, which runs what was traced."""
    changed = sd15.model.with_alteration(TorchCompile("eager"))

    torch.testing.assert_close(predicted(sd15, changed), predicted(sd15, sd15.model))


def test_what_can_not_compile_says_what_it_lacks(sd15, monkeypatch):
    monkeypatch.setattr(compiled, "_COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CXX", raising=False)
    if not torch.cuda.is_available():
        with pytest.raises(
            UnavailableHereError, match="'cudagraphs' is not available here: it needs an NVIDIA GPU"
        ):
            torch_compile_model(sd15.model, "cudagraphs")
        with pytest.raises(UnavailableHereError, match=r"'inductor' .* it needs a C\+\+ compiler"):
            torch_compile_model(sd15.model, "inductor")


@pytest.mark.parametrize(("node", "guided"), [(easy_cache, False), (lazy_cache, True)])
def test_steps_go_without_the_model(sd15, tmp_path, node, guided):
    changed = node(sd15.model, 3.0, 0.0, 1.0)
    calls: list[int] = []
    network = sd15.model.model.network.module()
    hook = network.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))

    made = [
        ksampler(
            model=model,
            seed=7,
            steps=8,
            cfg=3.0,
            sampler_name="euler",
            scheduler="karras",
            positive=sd15.text(0.3),
            negative=sd15.text(0.7),
            latent_image=sd15.blank(),
            ctx=Bench(tmp_path),
        ).samples
        for model in (sd15.model, changed)
    ]

    hook.remove()
    assert changed.guidance.step_cache == StepCacheSettings(3.0, 0.0, 1.0, guided=guided)
    assert 8 + 2 <= len(calls) < 16
    assert made[1].isfinite().all()
