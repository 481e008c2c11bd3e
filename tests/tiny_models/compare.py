"""Whether two checkpoints are the same model: what they denoise, decode and encode."""

import torch

from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.text.textual_inversion import Embeddings
from nodes.values import Cond, CondBatch

NO_WORDS = Embeddings(None, print)
_TEXT_WIDTHS = (
    "cross_attention_dim",
    "joint_attention_dim",
    "cap_feat_dim",
    "source_dim",
    "context_in_dim",
    "text_hidden_dim",
)


def denoised(model):
    channels = model.latent_format.channels
    x = torch.linspace(-1, 1, channels * 64).reshape(1, channels, 8, 8)
    config = model.model.network.spec.config
    inner = config.get("conditioner", {})
    widths = (config.get(entry) or inner.get(entry) for entry in _TEXT_WIDTHS)
    width = next(each for each in widths if each)
    width *= config.get("num_text_layers", 1)
    extra = config.get("projection_class_embeddings_input_dim", 0)
    sizes = 5 if extra == 64 + 5 * 256 else 6
    pooled = config.get("pooled_projection_dim") or (extra and extra - sizes * 256) or 1
    tokens = torch.linspace(-2, 2, 77 * width).reshape(1, 77, width)
    read = {"t5xxl_ids": torch.arange(3, 9)[None], "t5xxl_weights": torch.ones(1, 6)}
    cond = Cond(tokens, torch.linspace(-1, 1, pooled)[None], extras=read if inner else {})
    extras = prepare(model, cond, (8, 8)).extras
    return denoise(model, x, torch.tensor([0.7]), CondBatch(cond.tokens, cond.pooled, extras))


def decoded(vae):
    latent = torch.linspace(-3, 3, vae.channels * 16).reshape(1, vae.channels, 4, 4)
    return vae.decode(latent)


def assert_same(found, expected):
    assert (found is None) == (expected is None)
    if found is not None:
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def assert_same_checkpoint(found, expected):
    assert_same(denoised(ModelHandle(found.model)), denoised(ModelHandle(expected.model)))
    assert_same(decoded(VaeHandle(found.vae)), decoded(VaeHandle(expected.vae)))
    clips = [ClipHandle(checkpoint.text) for checkpoint in (found, expected)]
    texts = [clip.encode("a (red:1.3) square", NO_WORDS) for clip in clips]
    assert_same(texts[0].tokens, texts[1].tokens)
    if expected.text.encoder_set.name != "sd2":  # whose pooled text nobody reads
        assert_same(texts[0].pooled, texts[1].pooled)
