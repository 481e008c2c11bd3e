"""ControlNets for SD3 and FLUX, which read latents: against diffusers' own networks."""

import warnings
from functools import cache
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet_flux import FluxControlNetModel
from diffusers.models.controlnets.controlnet_sd3 import SD3ControlNetModel
from diffusers.models.embeddings import get_2d_sincos_pos_embed

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.controlnets import (
    control_net_apply,
    control_net_apply_advanced,
    control_net_apply_sd3,
    control_net_inpainting_apply,
    control_net_loader,
    set_union_control_net_type,
)
from nodes.models.families.errors import UnknownTypeError
from nodes.models.loading.checkpoint import open_model, open_vae
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.networks.base.errors import ChannelMismatchError, MissingInputError
from nodes.models.networks.base.patchify import patchify, positions, unpatchify
from nodes.models.patches.errors import ModelMismatchError
from nodes.values import Cond, CondBatch, Conditioning
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import small_ae16, small_flux, small_sd3, small_sd15, write
from tests.tiny_models.control_networks import like, textless_controlnet, xlabs_controlnet
from tests.tiny_models.random_weights import Draw

PICTURE = torch.rand(1, 32, 48, 3, generator=torch.Generator().manual_seed(1))
MASK = torch.zeros(1, 32, 48)
MASK[:, 8:24, 16:32] = 1
X = torch.linspace(-2, 2, 16 * 4 * 6).reshape(1, 16, 4, 6)
SIGMA = torch.tensor([0.7])
SD3: dict[str, Any] = {
    "num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 64, "patch_size": 2,
    "joint_attention_dim": 128, "caption_projection_dim": 128, "pooled_projection_dim": 128,
    "pos_embed_max_size": 16,
}  # fmt: skip
TEXTLESS: dict[str, Any] = SD3 | {
    "joint_attention_dim": None, "pos_embed_max_size": None, "pos_embed_type": None,
    "use_pos_embed": False,
}  # fmt: skip
FLUX: dict[str, Any] = {
    "num_layers": 2, "num_single_layers": 1, "attention_head_dim": 32, "num_attention_heads": 2,
    "joint_attention_dim": 64, "pooled_projection_dim": 64, "axes_dims_rope": [4, 14, 14],
    "guidance_embeds": True,
}  # fmt: skip


def flux_control(**config):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".FluxPosEmbed.", category=FutureWarning)
        return FluxControlNetModel(**config)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@cache
def model_of(models, family):
    tensors = small_sd3() if family == "sd3" else small_flux(double=3)
    path = write(models / f"{family}.safetensors", tensors)
    return ModelHandle(open_model(path, family, ModelPool()))


@cache
def vae_of(models):
    path = write(models / "vae.safetensors", small_ae16())
    return VaeHandle(open_vae(path, "ae16", ModelPool()))


def load(bench, tensors, name="c.safetensors"):
    write(bench.root / "models/controlnet" / name, dict(tensors))
    return control_net_loader(name, bench)


def condition(family):
    wide, pooled = (128, 128) if family == "sd3" else (64, 64)
    tokens = torch.linspace(-1, 1, 7 * wide).reshape(1, 7, wide)
    return Cond(tokens, torch.linspace(0, 1, pooled)[None])


def side(family):
    return Conditioning((condition(family),))


def predict(model, cond, x=X):
    ready = prepare(model, cond, (x.shape[-2], x.shape[-1]))
    batch = CondBatch(ready.tokens, ready.pooled, ready.extras, ready.controls)
    return denoise(model, x, SIGMA, batch)


def latent_of(models, model, picture=PICTURE):
    return model.latent_format.to_model(vae_of(models).encode(picture.movedim(-1, 1)))


def drawn(network, seed):
    """A network of diffusers' with drawn weights, and the file it would be in."""
    draw = Draw(seed)
    like(draw, network.state_dict())
    if "pos_embed.pos_embed" in draw.tensors:
        places = get_2d_sincos_pos_embed(128, 16, base_size=16, output_type="pt")
        draw.tensors["pos_embed.pos_embed"] = places[None].half()
    network.load_state_dict({key: value.float() for key, value in draw.tensors.items()})
    return network.eval(), draw.tensors


@torch.no_grad()
def by_sd3(models, controlnet=None, hint=None, scale=1.0):
    """Through diffusers' networks alone, in the way of its pipelines."""
    model, cond = model_of(models, "sd3"), condition("sd3")
    facts = model.parameterization
    transformer: Any = model.model.network.module()
    timestep, blocks = facts.timestep(SIGMA), None
    assert cond.pooled is not None
    if controlnet:
        textless = controlnet.config.joint_attention_dim is None
        (blocks,) = controlnet(
            transformer.pos_embed(X) if textless else X, hint, scale,
            encoder_hidden_states=None if textless else cond.tokens,
            pooled_projections=cond.pooled if textless else torch.zeros_like(cond.pooled),
            timestep=timestep, return_dict=False,
        )  # fmt: skip
    (output,) = transformer(X, cond.tokens, cond.pooled, timestep, blocks, return_dict=False)
    return facts.to_x0(X, SIGMA, output)


@torch.no_grad()
def by_flux(models, controlnet=None, hint=None, scale=1.0, mode=None):
    """The same for FLUX."""
    model, cond = model_of(models, "flux"), condition("flux")
    facts, transformer = model.parameterization, model.model.network.module()
    shared = {
        "encoder_hidden_states": cond.tokens, "pooled_projections": cond.pooled,
        "timestep": facts.timestep(SIGMA), "img_ids": positions(X),
        "txt_ids": torch.zeros(7, 3), "guidance": torch.tensor([3.5]), "return_dict": False,
    }  # fmt: skip
    double = single = None
    if controlnet:
        double, single = controlnet(patchify(X), hint, mode, scale, **shared)
    (output,) = transformer(
        patchify(X), controlnet_block_samples=double, controlnet_single_block_samples=single,
        controlnet_blocks_repeat=bool(controlnet and controlnet.input_hint_block), **shared,
    )  # fmt: skip
    return facts.to_x0(X, SIGMA, unpatchify(output, 4))


def agree(found, expected, plain):
    """The same as it should be, and not what comes without a ControlNet."""
    assert (found - expected).abs().max() <= 1e-5 * expected.std()
    assert (found - plain).abs().max() > 1e-3 * expected.std()


@pytest.mark.parametrize("apply", [control_net_apply_sd3, control_net_apply_advanced])
def test_sd3_in_diffusers_layout(models, bench, apply):
    model = model_of(models, "sd3")
    oracle, tensors = drawn(SD3ControlNetModel(**SD3), 11)
    handle, vae = load(bench, tensors), vae_of(models)

    steered = apply(
        positive=side("sd3"), negative=side("sd3"), control_net=handle, vae=vae, image=PICTURE,
        strength=0.6,
    )  # fmt: skip

    expected = by_sd3(models, oracle, latent_of(models, model), 0.6)
    agree(predict(model, steered.positive.conds[0]), expected, by_sd3(models))
    assert steered.negative.conds[0].controls == steered.positive.conds[0].controls


def in_diffusers_names(tensors):
    """Stability's names for SD3.5 large as diffusers' script has them."""
    parts = {
        "adaLN_modulation.1": "norm1.linear", "attn.proj": "attn.to_out.0",
        "mlp.fc1": "ff.net.0.proj", "mlp.fc2": "ff.net.2",
    }  # fmt: skip
    found = {}
    for key, value in tensors.items():
        if ".attn.qkv." in key:
            for name, part in zip("qkv", torch.chunk(value, 3), strict=True):
                found[key.replace("qkv", f"to_{name}")] = part.float()
            continue
        name = next((key.replace(old, new) for old, new in parts.items() if old in key), key)
        found[name] = value.float()
    return found


@pytest.mark.parametrize(("number", "change"), [
    (None, lambda p: p), (0, lambda p: p), (1, lambda p: (p * 127.5 + 1.5) / 2),
    (2, lambda p: 1 - p),
])  # fmt: skip
def test_sd35_in_stabilitys_layout(models, bench, number, change):
    model, draw = model_of(models, "sd3"), Draw(12)
    textless_controlnet(draw, width=128, pooled=128, blocks=1)
    mark = {} if number is None else {"control_type": torch.tensor([float(number)])}
    handle, vae = load(bench, draw.tensors | mark), vae_of(models)
    oracle = SD3ControlNetModel(**TEXTLESS).eval()
    oracle.load_state_dict(in_diffusers_names(draw.tensors))

    sides = control_net_apply_sd3(side("sd3"), side("sd3"), handle, vae, PICTURE)

    expected = by_sd3(models, oracle, latent_of(models, model, change(PICTURE)))
    agree(predict(model, sides.positive.conds[0]), expected, by_sd3(models))


def test_sd3_inpainting_is_told_what_to_keep(models, bench):
    model = model_of(models, "sd3")
    oracle, tensors = drawn(SD3ControlNetModel(**SD3, extra_conditioning_channels=1), 13)
    handle, vae = load(bench, tensors), vae_of(models)

    sides = control_net_inpainting_apply(side("sd3"), side("sd3"), handle, vae, PICTURE, MASK)

    black = PICTURE * (1 - MASK[..., None])
    kept = torch.nn.functional.interpolate(1 - MASK[None], size=(4, 6), mode="bilinear")
    hint = torch.cat([latent_of(models, model, black), kept], dim=1)
    agree(predict(model, sides.positive.conds[0]), by_sd3(models, oracle, hint), by_sd3(models))
    with pytest.raises(MissingInputError, match="ControlNetInpaintingAliMamaApply"):
        control_net_apply_sd3(side("sd3"), side("sd3"), handle, vae, PICTURE)


def test_flux_in_diffusers_layout(models, bench):
    model = model_of(models, "flux")
    oracle, tensors = drawn(flux_control(**FLUX), 14)
    handle, vae = load(bench, tensors), vae_of(models)

    sides = control_net_apply_advanced(side("flux"), side("flux"), handle, PICTURE, 0.6, vae=vae)

    expected = by_flux(models, oracle, patchify(latent_of(models, model)), 0.6)
    agree(predict(model, sides.positive.conds[0]), expected, by_flux(models))


def test_flux_union_is_told_which_hint_it_gets(models, bench):
    model = model_of(models, "flux")
    oracle, tensors = drawn(flux_control(**FLUX, num_mode=7), 15)
    handle, vae = load(bench, tensors), vae_of(models)
    depth = set_union_control_net_type(handle, "depth")

    sides = control_net_apply_advanced(side("flux"), side("flux"), depth, PICTURE, vae=vae)

    hint, mode = patchify(latent_of(models, model)), torch.tensor([[2]])
    expected = by_flux(models, oracle, hint, mode=mode)
    agree(predict(model, sides.positive.conds[0]), expected, by_flux(models))
    with pytest.raises(UnknownTypeError, match="knows no hint 'normal'"):
        set_union_control_net_type(handle, "normal")
    sides = control_net_apply_advanced(side("flux"), side("flux"), handle, PICTURE, vae=vae)
    with pytest.raises(MissingInputError, match="several kinds of hint, and none is given"):
        predict(model, sides.positive.conds[0])


def test_flux_inpainting_is_told_what_to_keep(models, bench):
    model = model_of(models, "flux")
    oracle = flux_control(**FLUX)
    oracle.controlnet_x_embedder = torch.nn.Linear(68, 64)
    oracle, tensors = drawn(oracle, 16)
    handle, vae = load(bench, tensors), vae_of(models)

    sides = control_net_inpainting_apply(side("flux"), side("flux"), handle, vae, PICTURE, MASK)

    black = PICTURE * (1 - MASK[..., None])
    kept = torch.nn.functional.interpolate(1 - MASK[None], size=(4, 6), mode="bilinear")
    hint = patchify(torch.cat([latent_of(models, model, black), kept], dim=1))
    agree(predict(model, sides.positive.conds[0]), by_flux(models, oracle, hint), by_flux(models))


def xlabs_in_diffusers_names(tensors):
    """XLabs' names as diffusers has them, taken apart by hand."""
    stems = {
        "img_in": "x_embedder", "txt_in": "context_embedder",
        "pos_embed_input": "controlnet_x_embedder", "time_in": "time_text_embed.timestep_embedder",
        "vector_in": "time_text_embed.text_embedder",
        "guidance_in": "time_text_embed.guidance_embedder", "double_blocks": "transformer_blocks",
        "in_layer": "linear_1", "out_layer": "linear_2", "img_mod.lin": "norm1.linear",
        "txt_mod.lin": "norm1_context.linear", "img_attn.proj": "attn.to_out.0",
        "txt_attn.proj": "attn.to_add_out", "img_mlp.0": "ff.net.0.proj", "img_mlp.2": "ff.net.2",
        "txt_mlp.0": "ff_context.net.0.proj", "txt_mlp.2": "ff_context.net.2",
        "img_attn.norm.query_norm.scale": "attn.norm_q.weight",
        "img_attn.norm.key_norm.scale": "attn.norm_k.weight",
        "txt_attn.norm.query_norm.scale": "attn.norm_added_q.weight",
        "txt_attn.norm.key_norm.scale": "attn.norm_added_k.weight",
    }  # fmt: skip
    fused = {"img_attn.qkv": "attn.to_{}", "txt_attn.qkv": "attn.add_{}_proj"}
    found = {}
    for key, value in tensors.items():
        name = key
        for old, new in stems.items():
            name = name.replace(old, new)
        if name.startswith("input_hint_block."):
            _, number, leaf = name.split(".")
            place = {"0": "conv_in", "14": "conv_out"}.get(number, f"blocks.{int(number) // 2 - 1}")
            name = f"input_hint_block.{place}.{leaf}"
        pattern = next((p for p in fused if p in name), None)
        if pattern is None:
            found[name] = value.float()
            continue
        for letter, part in zip("qkv", torch.chunk(value, 3), strict=True):
            found[name.replace(pattern, fused[pattern].format(letter))] = part.float()
    return found


def test_flux_in_xlabs_layout_reads_pixels(models, bench):
    model, draw = model_of(models, "flux"), Draw(17)
    xlabs_controlnet(draw, width=64, head=32, text=64, blocks=2)
    handle = load(bench, draw.tensors)
    config = FLUX | {"num_single_layers": 0}
    oracle = flux_control(**config, patch_size=2, conditioning_embedding_channels=16).eval()
    oracle.load_state_dict(xlabs_in_diffusers_names(draw.tensors))

    cond = control_net_apply(side("flux"), handle, PICTURE, 0.6).conds[0]

    expected = by_flux(models, oracle, PICTURE.movedim(-1, 1) * 2 - 1, 0.6)
    agree(predict(model, cond), expected, by_flux(models))


def test_controlnets_of_unlike_depths_add_up(models, bench):
    """Each is spread over all blocks before they are added."""
    model, vae, sides = model_of(models, "flux"), vae_of(models), side("flux")
    one = load(bench, drawn(flux_control(**FLUX), 14)[1])
    shallow = FLUX | {"num_layers": 1, "num_single_layers": 0}
    other = load(bench, drawn(flux_control(**shallow), 18)[1], "d.safetensors")

    for handle in (one, other):
        sides = control_net_apply_advanced(sides, sides, handle, PICTURE, vae=vae).positive

    found, plain = predict(model, sides.conds[0]), by_flux(models)
    assert (found - plain).abs().max() > 1e-3 * plain.std()


def test_latents_with_odd_sides_are_padded(models, bench):
    model, vae = model_of(models, "flux"), vae_of(models)
    handle = load(bench, drawn(flux_control(**FLUX), 14)[1])

    sides = control_net_apply_advanced(side("flux"), side("flux"), handle, PICTURE, vae=vae)

    odd = X[..., :3, :5]
    assert predict(model, sides.positive.conds[0], odd).shape == odd.shape


def test_a_hint_without_a_fitting_vae_is_an_error(models, bench):
    handle = load(bench, drawn(flux_control(**FLUX), 14)[1])
    other = VaeHandle(
        open_vae(write(bench.root / "v.safetensors", small_sd15()), "sd15", ModelPool())
    )

    with pytest.raises(MissingInputError, match="connect the model's VAE"):
        control_net_apply_advanced(side("flux"), side("flux"), handle, PICTURE)
    with pytest.raises(
        ChannelMismatchError, match=r"VAE has 4 channels, the ControlNet '.*' reads 16"
    ):
        control_net_apply_advanced(side("flux"), side("flux"), handle, PICTURE, vae=other)


def test_a_controlnet_of_another_family_is_an_error(models, bench):
    handle = load(bench, drawn(flux_control(**FLUX), 14)[1])
    sides = control_net_apply_advanced(
        side("sd3"), side("sd3"), handle, PICTURE, vae=vae_of(models)
    )

    with pytest.raises(ModelMismatchError, match=r"ControlNet .* does not fit the model"):
        predict(model_of(models, "sd3"), sides.positive.conds[0])
