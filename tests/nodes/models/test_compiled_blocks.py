"""Networks whose blocks torch compiles: once for all of a kind, beside whatever else is changed.

The backends are those that need no compiler, but for one test.
"""

import shutil

import pytest
import torch
from torch import Tensor, fx
from torch._dynamo import register_backend

from nodes.builtin.sampling.ksampler import ksampler
from nodes.builtin.sampling.step_cache import torch_compile_model
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.factory import network_class
from nodes.models.networks.modifiers.compiled import TorchCompile
from nodes.models.networks.modifiers.perturbed_attention import PerturbedAttention
from nodes.models.networks.modifiers.skip_layers import SkipLayers
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.nodes.models.test_compiled import breaks, from_scratch, graphs
from tests.nodes.pictures import grid
from tests.tiny_models.checkpoints import small_flux, write
from tests.tiny_models.handles import opened
from tests.tiny_models.quantized_files import scaled
from tests.tiny_models.samplable import Samplable, samplable

__all__ = ["from_scratch"]

pytestmark = [
    pytest.mark.usefixtures("one_thread", "from_scratch"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
]


@register_backend
def fails(graph: fx.GraphModule, inputs: list[Tensor]):
    """A backend that traces a network and can not compile it."""
    message = "no kernel for this card"
    raise ArithmeticError(message)


@register_backend
def breaks_down(graph: fx.GraphModule, inputs: list[Tensor]):
    """A backend whose code can not run."""

    def run(*_: object):
        message = "launch failed\nat some place"
        raise RuntimeError(message)

    return run


def compiled(model: ModelHandle, backend: str = "eager") -> ModelHandle:
    blocks = network_class(model.model.network.spec.kind).repeated_blocks
    return model.with_alteration(TorchCompile(backend, blocks))


def predicted(kind: Samplable, model: ModelHandle, size: int = 8, rows: int = 1) -> Tensor:
    cond = kind.text(0.3).conds[0]
    pooled = None if cond.pooled is None else cond.pooled.expand(rows, -1)
    extras = {"guidance": torch.ones(rows)} if kind.pooled else {}
    x = grid((rows, model.latent_format.channels, size, size), 0.7)
    batch = CondBatch(cond.tokens.expand(rows, -1, -1), pooled, extras)
    return denoise(model, x, torch.full((rows,), 0.5), batch)


@pytest.mark.slow
def test_all_blocks_of_a_class_share_what_is_compiled_for_the_first(tmp_path):
    """FLUX has two classes of blocks, here two blocks of each."""
    kind = samplable(tmp_path, "flux")
    model = compiled(kind.model)

    for size, expected in ((8, 2), (8, 2), (12, 4), (16, 4)):
        assert torch.equal(predicted(kind, model, size), predicted(kind, kind.model, size))
        assert graphs() == expected
    assert not breaks()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd15", "sd3", "flux"])
def test_sizes_and_batches_of_each_family(tmp_path, family):
    kind = samplable(tmp_path, family)
    model = compiled(kind.model, "aot_eager")

    for size, rows in ((8, 1), (12, 1), (8, 2), (12, 3)):
        found, expected = (predicted(kind, each, size, rows) for each in (model, kind.model))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    before = graphs()
    predicted(kind, model, 16, 2)
    assert graphs() == before
    assert not breaks()


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_what_a_part_of_a_block_does_instead_is_compiled_for_that_block_alone(tmp_path, first):
    kind = samplable(tmp_path)
    perturbed = PerturbedAttention()
    changed = kind.model.with_alteration(perturbed)
    expected, plain = predicted(kind, changed), predicted(kind, kind.model)

    both = compiled(changed) if first else compiled(kind.model).with_alteration(perturbed)

    assert torch.equal(predicted(kind, compiled(kind.model)), plain)
    assert torch.equal(predicted(kind, both), expected)
    assert torch.equal(predicted(kind, compiled(kind.model)), plain)
    assert not torch.equal(plain, expected)


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_blocks_that_are_left_out_stay_so(tmp_path, first):
    kind = samplable(tmp_path, "flux")
    skip = SkipLayers((0,), (1,))
    changed = kind.model.with_alteration(skip)

    both = compiled(changed) if first else compiled(kind.model).with_alteration(skip)

    assert torch.equal(predicted(kind, both), predicted(kind, changed))


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("fails", "backend='fails' raised: ArithmeticError: no kernel for this card"),
        ("breaks_down", "launch failed at some place"),
    ],
)
def test_a_network_that_does_not_compile_is_sampled_as_it_is(tmp_path, backend, reason):
    told = "BasicTransformerBlock does not compute as compiled code"
    kind = samplable(tmp_path)
    model = compiled(kind.model, backend)

    def sample(model: ModelHandle) -> tuple[Tensor, list[str]]:
        bench = Bench(tmp_path)
        made = ksampler(
            model=model, seed=7, steps=2, cfg=3.0, sampler_name="euler", scheduler="karras",
            positive=kind.text(0.3), negative=kind.text(0.7), latent_image=kind.blank(), ctx=bench,
        )  # fmt: skip
        return made.samples, bench.notices

    expected, none = sample(kind.model)
    for _ in range(2):
        found, notices = sample(model)
        assert torch.equal(found, expected)
        assert notices == [f"{told}: {reason}. Sampling starts again without compiled code."]
    assert not none


def test_the_node_compiles_blocks_where_a_network_repeats_them(tmp_path, monkeypatch):
    kind = samplable(tmp_path)
    monkeypatch.setenv("CXX", shutil.which("true") or "true")

    (made,) = torch_compile_model(kind.model, "inductor").alterations

    assert made == TorchCompile("inductor", ("BasicTransformerBlock",))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="it needs a C++ compiler")
def test_inductor_compiles_blocks_in_few_bits(tmp_path):
    kind = samplable(tmp_path, "flux")
    path = write(tmp_path / "small.safetensors", scaled(small_flux())[0])
    model = ModelHandle(opened(path).model)

    found = predicted(kind, torch_compile_model(model, "inductor"))

    torch.testing.assert_close(found, predicted(kind, model), rtol=1e-4, atol=1e-4)
    assert graphs() == 2
