"""Mixed models: weighted sums of two models' weights, and weights times a number."""

from functools import cache

import pytest
import torch

from nodes.builtin.model.attention_multiply import (
    clip_attention_multiply,
    unet_cross_attention_multiply,
    unet_self_attention_multiply,
    unet_temporal_attention_multiply,
)
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.model.errors import MergeMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.merge import (
    clip_merge_add,
    clip_merge_simple,
    clip_merge_subtract,
    flux1,
    model_merge_add,
    model_merge_blocks,
    model_merge_simple,
    model_merge_subtract,
    sd1,
    sd3_2b,
    sdxl,
)
from nodes.builtin.model.save import checkpoint_save
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.network_file import NetworkFile
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_flux, small_sd3, small_sd15, small_sdxl, write
from tests.tiny_models.compare import NO_WORDS, assert_same, denoised
from tests.tiny_models.handles import opened

UNET = "model.diffusion_model."
SEEDS = {small_sd15: 1, small_sdxl: 3, small_sd3: 5, small_flux: 6}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("merges")


@pytest.fixture(scope="module")
def pair(root):
    """Two models of a family, with their own numbers in float32."""

    @cache
    def make(build):
        seeds = (SEEDS[build], 50 + SEEDS[build])
        tensors = [{key: t.float() for key, t in build(seed).items()} for seed in seeds]
        return [
            opened(write(root / f"{build.__name__}{number}.safetensors", each))
            for number, each in enumerate(tensors)
        ]

    return make


@pytest.fixture
def bench(root):
    return Bench(root)


def models(checkpoints):
    return [ModelHandle(checkpoint.model) for checkpoint in checkpoints]


def clips(checkpoints):
    return [ClipHandle(checkpoint.text) for checkpoint in checkpoints]


def weights(model):
    """By their names in the original layout, patches included."""
    network = model.model.network
    module = network.module(model.patches).state_dict()
    table = network.spec.table(network.table, "")
    return {source.key: module[key] for key, source in table.items()}


def words(clip):
    network = clip.text.encoders[0].network
    return network.module(clip.by_encoder.get("clip_l", ())).state_dict()


def assert_mixed(found, first, second, shares):
    """Each weight is the sum that `shares(name)` says."""
    for key, weight in found.items():
        own, other = shares(key)
        torch.testing.assert_close(weight, first[key] * own + second[key] * other)


def test_models_are_mixed_added_and_subtracted(pair, bench):
    one, two = models(pair(small_sd15))
    first, second = weights(one), weights(two)

    assert_mixed(
        weights(model_merge_simple(one, two, bench, 0.25)), first, second, lambda _: (0.25, 0.75)
    )
    assert_mixed(weights(model_merge_add(one, two, bench)), first, second, lambda _: (1, 1))
    assert_mixed(
        weights(model_merge_subtract(one, two, bench, 0.5)), first, second, lambda _: (0.5, -0.5)
    )
    assert model_merge_simple(one, two, bench, 1.0) == one
    assert_mixed(weights(one), first, second, lambda _: (1, 0))
    assert bench.notices == []


def test_text_encoders_are_mixed_added_and_subtracted(pair, bench):
    one, two = clips(pair(small_sd15))
    first, second = words(one), words(two)

    assert_mixed(
        words(clip_merge_simple(one, two, bench, 0.25)), first, second, lambda _: (0.25, 0.75)
    )
    assert_mixed(words(clip_merge_add(one, two, bench)), first, second, lambda _: (1, 1))
    difference = clip_merge_subtract(one, two, bench, -2.0)
    assert_mixed(words(difference), first, second, lambda _: (-2, 2))
    assert clip_merge_simple(one, two, bench) == one


def test_both_encoders_of_sdxl_are_mixed(pair, bench):
    one, two = clips(pair(small_sdxl))

    found = clip_merge_simple(one, two, bench, 0.0)

    assert_same(found.encode("a cat", NO_WORDS).tokens, two.encode("a cat", NO_WORDS).tokens)
    assert_same(found.encode("a cat", NO_WORDS).pooled, two.encode("a cat", NO_WORDS).pooled)


def test_the_sides_of_a_u_net_are_mixed_apart(pair, bench):
    one, two = models(pair(small_sd15))
    ratios = {"input_blocks": 0.1, "middle_block": 0.5, "output_blocks": 0.9, "out.": 0.9}

    found = weights(model_merge_blocks(one, two, bench, 0.1, 0.5, 0.9))

    def shares(key):
        ratio = next((ratio for start, ratio in ratios.items() if key.startswith(start)), 0.1)
        return ratio, 1 - ratio

    assert {shares(key)[0] for key in found} == {0.1, 0.5, 0.9}
    assert_mixed(found, weights(one), weights(two), shares)


@pytest.mark.parametrize(
    ("merge", "build", "ratios"),
    [
        (sd1, small_sd15, {"time_embed.": 0.3, "input_blocks.1.": 0.0, "middle_block.1.": 0.4}),
        (sdxl, small_sdxl, {"time_embed.": 0.9, "label_emb.": 0.5, "output_blocks.2": 0.1}),
        (sd3_2b, small_sd3, {"pos_embed.": 0.6, "joint_blocks.1.": 0.2, "x_embedder.": 0.0}),
        (flux1, small_flux, {"img_in.": 0.7, "double_blocks.1.": 0.2, "single_blocks.0.": 0.1}),
    ],
)
def test_blocks_are_mixed_apart(pair, bench, merge, build, ratios):
    one, two = models(pair(build))
    names = [spec.name for spec in merge.spec.inputs if spec.socket == "FLOAT"]

    found = weights(merge(one, two, bench, **ratios))

    def shares(key):
        start = next((name for name in names if key.startswith(name)), names[0])
        ratio = ratios.get(start, 1.0)
        return ratio, 1 - ratio

    assert len({shares(key) for key in found}) == 4
    assert_mixed(found, weights(one), weights(two), shares)


def test_the_other_model_brings_its_loras(pair, bench):
    one, two = models(pair(small_sd15))
    key = "lora_unet_middle_block_1_proj_in"
    write(bench.root / "models/loras/a.safetensors", lora(1, {key: (64, 64, 1, 1)}))
    changed = lora_loader_model_only(two, "a.safetensors", bench)

    mixed = model_merge_simple(one, changed, bench, 0.5)

    assert_mixed(weights(mixed), weights(one), weights(changed), lambda _: (0.5, 0.5))
    assert not torch.equal(denoised(mixed), denoised(model_merge_simple(one, two, bench, 0.5)))


def test_merging_reads_of_the_other_model_only_what_is_mixed(pair, bench, monkeypatch):
    one, two = models(pair(small_sd15))
    ratios = {f"input_blocks.{number}.": 1.0 for number in range(12)}

    mixed = sd1(one, two, bench, **{**ratios, "middle_block.1.": 0.5})

    touched = {key for patch in mixed.patches for key in patch.touches}
    assert touched
    assert all(key.startswith("mid_block.attentions.0.") for key in touched)
    base = one.model.network.module().state_dict()
    monkeypatch.setattr(NetworkFile, "load", lambda _: pytest.fail("read everything"))
    clone = one.model.network.module(mixed.patches).state_dict()
    shared = {key for key in base if clone[key].data_ptr() == base[key].data_ptr()}
    assert shared == base.keys() - touched


def test_a_merge_is_saved_and_loaded_again(pair, bench):
    checkpoints = pair(small_sd15)
    (one, two), (first, second) = models(checkpoints), clips(checkpoints)
    model = model_merge_simple(one, two, bench, 0.3)
    clip = clip_merge_simple(first, second, bench, 0.6)

    checkpoint_save(model, clip, VaeHandle(checkpoints[0].vae), "checkpoints/mix", ctx=bench)
    back = checkpoint_loader_simple("mix_00001_.safetensors", bench)

    assert_mixed(weights(back.MODEL), weights(model), weights(model), lambda _: (1, 0))
    assert (denoised(back.MODEL) - denoised(model)).abs().max() < 1e-5
    found, expected = (c.encode("a cat", NO_WORDS).tokens for c in (back.CLIP, clip))
    assert (found - expected).abs().max() < 1e-5


def test_models_that_differ_in_some_shapes_are_mixed_in_the_others(pair, bench, root):
    one = models(pair(small_sd15))[0]
    wide = {key: t.float() for key, t in small_sd15(9).items()}
    key = f"{UNET}input_blocks.0.0.weight"
    wide[key] = torch.cat([wide[key], wide[key], wide[key][:, :1]], dim=1)
    inpainting = ModelHandle(opened(write(root / "wide.safetensors", wide)).model)

    found = weights(model_merge_simple(inpainting, one, bench, 0.5))

    own, other = weights(inpainting), weights(one)
    assert torch.equal(found["input_blocks.0.0.weight"], own["input_blocks.0.0.weight"])
    del found["input_blocks.0.0.weight"]
    assert_mixed(found, own, other, lambda _: (0.5, 0.5))
    assert bench.notices == [
        "These weights have another shape in the other model and are not merged: conv_in.weight."
    ]


def test_models_of_different_families_are_not_mixed(pair, bench):
    with pytest.raises(MergeMismatchError, match="can not be mixed: they are of different"):
        model_merge_add(models(pair(small_sd15))[0], models(pair(small_flux))[0], bench)
    with pytest.raises(MergeMismatchError):
        clip_merge_add(clips(pair(small_sdxl))[0], clips(pair(small_sd15))[0], bench)


def test_attention_is_multiplied(pair, bench):
    model = models(pair(small_sd15))[0]
    before = weights(model)

    own = weights(unet_self_attention_multiply(model, bench, 2.0, 3.0, 4.0, 5.0))
    cross = weights(unet_cross_attention_multiply(model, bench, v=0.5))
    times = weights(unet_temporal_attention_multiply(model, bench, 2.0, 7.0, 3.0, 7.0))

    factors = {".to_q.": 2.0, ".to_k.": 3.0, ".to_v.": 4.0, ".to_out.0.": 5.0}
    for key, weight in before.items():
        factor = next((factors[part] for part in factors if f".attn1{part}" in key), 1.0)
        assert torch.equal(own[key], weight * factor)
        assert torch.equal(cross[key], weight * (0.5 if ".attn2.to_v." in key else 1.0))
        structural = {".attn1.to_out.0.": 2.0, ".attn2.to_out.0.": 3.0}
        factor = next((structural[part] for part in structural if part in key), 1.0)
        assert torch.equal(times[key], weight * factor)
    assert unet_self_attention_multiply(model, bench) == model


def test_attention_of_text_encoders_is_multiplied(pair):
    clip = clips(pair(small_sd15))[0]
    before = words(clip)

    after = words(clip_attention_multiply(clip, 2.0, 1.0, 1.0, 0.5))

    for key, weight in before.items():
        factor = 2.0 if ".q_proj." in key else 0.5 if ".out_proj." in key else 1.0
        assert torch.equal(after[key], weight * factor)


def test_transformers_keep_their_attention(pair, bench):
    model = models(pair(small_flux))[0]

    assert unet_self_attention_multiply(model, bench, q=2.0) == model
    assert "not a U-Net" in bench.notices[0]
