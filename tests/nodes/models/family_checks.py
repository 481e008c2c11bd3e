"""What every family of transformers is tested for: against diffusers' pipeline, and by itself."""

from contextlib import contextmanager
from dataclasses import replace

import torch

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.latent.vae import vae_encode
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.checkpoint import open_model
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.samplers.registry import sigmas_for
from nodes.values import Cond, CondBatch, Conditioning, Latent
from tests.tiny_models.checkpoints import write
from tests.tiny_models.compare import denoised
from tests.tiny_models.quantized_files import scaled, write_gguf

SEED, STEPS, SIZE = 3, 3, (8, 6)


def in_float32(tensors):
    return {key: tensor.float() for key, tensor in tensors.items()}


def text_of(width, length=5):
    """A conditioning of a text encoder of this width."""
    tokens = torch.linspace(-1, 1, length * width).reshape(1, length, width)
    return Conditioning((Cond(tokens),))


def sampled(bench, model, positive, negative, cfg, size=SIZE, *, sampler="euler"):
    return ksampler(
        model=model,
        seed=SEED,
        steps=STEPS,
        cfg=cfg,
        sampler_name=sampler,
        scheduler="simple",
        positive=positive,
        negative=negative,
        latent_image=Latent(torch.zeros(1, model.latent_format.channels, *size)),
        ctx=bench,
    ).samples


def start_of(model):
    """The noise and the levels that `sampled` has, for diffusers' pipeline."""
    shape = (1, model.latent_format.channels, *SIZE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
    return noise, sigmas_for(model.parameterization, "simple", "euler", STEPS, 1.0)[:-1].tolist()


def assert_close(found, expected):
    assert (found - expected).abs().max() / expected.std() < 1e-4


@contextmanager
def merged(transformer, factors):
    """Add a LoRA, in diffusers' names, to the transformer's weights for a while."""
    before = {key: tensor.clone() for key, tensor in transformer.state_dict().items()}
    after = dict(before)
    for key in (key for key in factors if key.endswith(".lora_A.weight")):
        up = factors[key.replace("lora_A", "lora_B")]
        weight = key.removeprefix("transformer.").replace(".lora_A", "")
        after[weight] = before[weight] + up @ factors[key]
    transformer.load_state_dict(after)
    yield
    transformer.load_state_dict(before)


def assert_rows_are_independent(model, width):
    channels = model.latent_format.channels
    x = torch.linspace(-1, 1, 2 * channels * 48).reshape(2, channels, 8, 6)
    tokens = torch.linspace(-2, 2, 2 * 9 * width).reshape(2, 9, width)
    levels = torch.tensor([0.9, 0.3])

    both = denoise(model, x, levels, CondBatch(tokens))

    for row in (0, 1):
        one = slice(row, row + 1)
        alone = denoise(model, x[one], levels[one], CondBatch(tokens[one]))
        torch.testing.assert_close(both[one], alone, rtol=0, atol=1e-5)


def assert_quantised_files_are_close(folder, tensors):
    gguf = folder / "a.gguf"
    plain = write(folder / "plain.safetensors", write_gguf(gguf, tensors, "Q8_0"))
    small, wide = scaled(tensors)
    fp8, full = (write(folder / f"{len(t)}.safetensors", t) for t in (small, wide))

    for path, expected in ((gguf, plain), (fp8, full)):
        found, other = (
            denoised(ModelHandle(open_model(each, each.name, ModelPool())))
            for each in (path, expected)
        )
        torch.testing.assert_close(found, other, rtol=0, atol=1e-4)


def assert_a_mask_keeps_what_lies_outside(bench, model, vae, text):
    before = vae_encode(torch.rand(1, 64, 48, 3), vae, bench)
    mask = torch.zeros(1, 64, 48)
    mask[:, :32] = 1

    masked = replace(before, noise_mask=mask)
    found = ksampler(
        model=model, seed=1, steps=2, cfg=1.0, sampler_name="euler", scheduler="simple",
        positive=text, negative=text, latent_image=masked, denoise=0.6, ctx=bench,
    ).samples  # fmt: skip

    edge, plain = found.shape[2] // 2, before.samples
    torch.testing.assert_close(found[:, :, edge + 1 :], plain[:, :, edge + 1 :], rtol=0, atol=1e-4)
    inside = slice(edge - 1)
    assert not torch.allclose(found[:, :, inside], plain[:, :, inside], atol=1e-2)
