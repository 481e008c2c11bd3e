"""ControlNets and T2I-Adapters for U-Nets: every layout, against diffusers' own networks."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from diffusers.models.adapter import T2IAdapter
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

from nodes.builtin.conditioning.controlnets import (
    control_net_apply,
    control_net_apply_advanced,
    control_net_loader,
    diff_control_net_loader,
    set_union_control_net_type,
)
from nodes.imaging.resize import resize
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.errors import UnknownTypeError
from nodes.models.loading.forward import denoise, prepare
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.errors import MissingInputError, WrongConditioningError
from nodes.models.networks.modifiers.deep_shrink import DeepShrink
from nodes.models.patches.errors import ModelMismatchError
from nodes.preflight.models import controlnet as preflight
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.values import ConcatLatent, Cond, CondBatch, Conditioning
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import (
    SMALL_SD15,
    SMALL_SD21,
    SMALL_SDXL,
    small_controlnet,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.control_networks import adapter, control_lora, light_adapter, like
from tests.tiny_models.handles import opened
from tests.tiny_models.random_weights import Draw

small_sd15, small_sd21, small_sdxl = cache(small_sd15), cache(small_sd21), cache(small_sdxl)

FAMILIES = {
    "sd15": (small_sd15, SMALL_SD15),
    "sd2": (small_sd21, SMALL_SD21),
    "sdxl": (small_sdxl, SMALL_SDXL),
}
CONFIGS: dict[str, dict[str, Any]] = {
    "sd15": {
        "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 64,
        "attention_head_dim": 8, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    },
    "sd2": {
        "block_out_channels": (64, 128), "layers_per_block": 1, "cross_attention_dim": 64,
        "attention_head_dim": (1, 2), "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "use_linear_projection": True,
    },
    "sdxl": {
        "block_out_channels": (64, 64, 128), "layers_per_block": 1, "cross_attention_dim": 128,
        "attention_head_dim": (1, 1, 2), "use_linear_projection": True,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (1, 1, 2), "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 64 + 6 * 256,
    },
}  # fmt: skip
HINT: dict[str, Any] = {"conditioning_embedding_out_channels": (16, 32, 96, 256)}
PICTURE = torch.rand(1, 48, 40, 3, generator=torch.Generator().manual_seed(1))
X = torch.linspace(-2, 2, 4 * 6 * 5).reshape(1, 4, 6, 5)
SIGMA = torch.tensor([2.0])


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@cache
def checkpoint(tmp, family):
    return opened(write(tmp / f"{family}.safetensors", FAMILIES[family][0]()))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def model_of(shared, family):
    return ModelHandle(checkpoint(shared, family).model)


def diffusers_layout(family, tensors):
    """The same weights under diffusers' names, as its own converter has them."""
    config = {**CONFIGS[family], "class_embed_type": None, "addition_embed_type": None, **HINT}
    config |= CONFIGS[family]
    bare = {key.removeprefix("control_model."): value for key, value in tensors.items()}
    extra = {
        key.replace("label_emb.0.0", "add_embedding.linear_1").replace(
            "label_emb.0.2", "add_embedding.linear_2"
        ): value
        for key, value in bare.items()
        if key.startswith("label_emb.")
    }
    return convert_controlnet_checkpoint(bare, config) | extra


def load(bench, tensors, name="c.safetensors"):
    write(bench.root / "models/controlnet" / name, dict(tensors))
    return control_net_loader(name, bench)


def condition(family):
    wide = CONFIGS[family]["cross_attention_dim"]
    tokens = torch.linspace(-1, 1, 7 * wide).reshape(1, 7, wide)
    return Cond(tokens, torch.linspace(0, 1, 64)[None])


def steered(handle, family, **how):
    """One condition with a ControlNet on it."""
    positive = Conditioning((condition(family),))
    picture = how.pop("picture", PICTURE)
    return control_net_apply_advanced(positive, positive, handle, picture, **how).positive.conds[0]


def predict(model, *conds, x=X, sigma=SIGMA):
    """What the model makes of conditions, row below row."""
    ready = [prepare(model, cond, (x.shape[-2], x.shape[-1])) for cond in conds]
    batch = CondBatch(
        torch.cat([cond.tokens for cond in ready]).repeat(len(x) // len(ready), 1, 1),
        torch.cat([cond.pooled for cond in ready if cond.pooled is not None]),
        {"sizes": torch.cat([cond.extras["sizes"] for cond in ready])},
        controls=ready[0].controls,
        chunks=len(ready),
        concat_input=ready[0].concat_input,
    )
    return denoise(model, x, sigma.expand(len(x)), batch)


def by_diffusers(model, family, controlnet, scale, *, features=None, **union):
    """The same through diffusers' networks alone, in the way of its pipelines."""
    facts, cond = model.parameterization, condition(family)
    scaled, timestep = facts.scale_input(X, SIGMA), facts.timestep(SIGMA)
    sizes = torch.tensor([[48.0, 40, 0, 0, 48, 40]])
    added = {"text_embeds": cond.pooled, "time_ids": sizes}
    hint = PICTURE.movedim(-1, 1)
    down = middle = None
    if controlnet:
        down, middle = controlnet(
            scaled, timestep, cond.tokens, [hint] if union else hint, conditioning_scale=scale,
            added_cond_kwargs=added, return_dict=False, **union,
        )  # fmt: skip
    (output,) = model.model.network.module()(
        scaled, timestep, cond.tokens, added_cond_kwargs=added,
        down_block_additional_residuals=down, mid_block_additional_residual=middle,
        down_intrablock_additional_residuals=features, return_dict=False,
    )  # fmt: skip
    return facts.to_x0(X, SIGMA, output)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_layouts_do_what_diffusers_does(shared, bench, family):
    model, tensors = model_of(shared, family), small_controlnet(FAMILIES[family][1])
    own = {key: value.float() for key, value in diffusers_layout(family, tensors).items()}
    oracle = ControlNetModel(**CONFIGS[family], **HINT).eval()
    oracle.load_state_dict(own)

    original = load(bench, tensors)
    converted = load(bench, {key: value.half() for key, value in own.items()}, "d.safetensors")

    with torch.no_grad():
        expected = by_diffusers(model, family, oracle, 0.7)
        plain = by_diffusers(model, family, None, 0)
    found = predict(model, steered(original, family, strength=0.7))
    assert (found - expected).abs().max() <= 1e-5 * expected.std()
    assert torch.equal(found, predict(model, steered(converted, family, strength=0.7)))
    assert (found - plain).abs().max() > 0.01 * expected.std()


def test_files_with_bare_keys_and_full_precision_do_the_same(shared, bench):
    model, tensors = model_of(shared, "sd15"), small_controlnet(SMALL_SD15)
    bare = {key.removeprefix("control_model."): value.float() for key, value in tensors.items()}

    one, other = load(bench, tensors), load(bench, bare, "d.safetensors")

    found = predict(model, steered(one, "sd15"))
    assert torch.allclose(found, predict(model, steered(other, "sd15")), atol=1e-5)


def test_it_steers_in_its_part_of_the_schedule_only(shared, bench):
    model = model_of(shared, "sd15")
    handle = load(bench, small_controlnet(SMALL_SD15))
    half = float(model.parameterization.percent_to_sigma(0.5))
    plain = condition("sd15")

    for start, end, early, late in ((0.0, 0.5, True, False), (0.5, 1.0, False, True)):
        cond = steered(handle, "sd15", start_percent=start, end_percent=end)
        for sigma, effect in ((half * 2, early), (half / 2, late)):
            level = torch.tensor([sigma])
            same = torch.equal(
                predict(model, cond, sigma=level), predict(model, plain, sigma=level)
            )
            assert same is not effect


def test_several_add_up_and_none_is_none(shared, bench):
    model = model_of(shared, "sd15")
    handle = load(bench, small_controlnet(SMALL_SD15))
    one = steered(handle, "sd15", strength=0.4)
    positive = Conditioning((one,))

    twice = control_net_apply_advanced(positive, positive, handle, PICTURE, 0.3).positive.conds[0]
    never = control_net_apply_advanced(positive, positive, handle, PICTURE, 0.0).positive

    assert torch.allclose(
        predict(model, twice), predict(model, steered(handle, "sd15", strength=0.7)), atol=1e-4
    )
    assert never == positive


def test_the_picture_is_cropped_and_scaled_to_the_latent(shared, bench):
    model = model_of(shared, "sd15")
    handle = load(bench, small_controlnet(SMALL_SD15))
    wide = torch.cat([torch.zeros(1, 48, 10, 3), PICTURE, torch.zeros(1, 48, 10, 3)], dim=2)
    large = wide.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)

    found = predict(model, steered(handle, "sd15", picture=large))

    assert torch.equal(found, predict(model, steered(handle, "sd15")))


def test_every_sample_has_its_picture(shared, bench):
    model = model_of(shared, "sd15")
    handle = load(bench, small_controlnet(SMALL_SD15))
    pictures = torch.cat([PICTURE, 1 - PICTURE])
    both, other = (replace(condition("sd15"), tokens=t) for t in torch.rand(2, 1, 7, 64))
    batch = control_net_apply_advanced(
        Conditioning((both, other)), Conditioning(()), handle, pictures
    ).positive.conds
    ready = [prepare(model, cond, (6, 5)) for cond in batch]

    rows = CondBatch(
        torch.cat([ready[0].tokens] * 2 + [ready[1].tokens] * 2),
        controls=ready[0].controls,
        chunks=2,
    )
    found = denoise(model, X.repeat(4, 1, 1, 1), SIGMA.expand(4), rows)

    for row, (cond, picture) in enumerate(
        [(both, PICTURE), (both, 1 - PICTURE), (other, PICTURE), (other, 1 - PICTURE)]
    ):
        side = Conditioning((cond,))
        (alone,) = control_net_apply_advanced(side, side, handle, picture).positive.conds
        assert torch.allclose(found[row : row + 1], predict(model, alone), atol=1e-4)


def test_the_old_node_is_for_one_side_and_both(bench):
    handle = load(bench, small_controlnet(SMALL_SD15))
    side = Conditioning((condition("sd15"),))

    (cond,) = control_net_apply(side, handle, PICTURE, 0.5).conds

    assert cond.controls[0].applies_to_uncond
    assert control_net_apply(side, handle, PICTURE, 0.0) == side


def test_a_difference_is_added_to_the_model(shared, bench):
    model, whole = model_of(shared, "sd15"), small_controlnet(SMALL_SD15)
    base = {
        key.replace("model.diffusion_model.", "control_model."): value.float()
        for key, value in small_sd15().items()
    }
    difference = {
        key: value.float() - base[key] if key in base else value.float()
        for key, value in whole.items()
    }
    folder = bench.root / "models/controlnet"
    write(folder / "d.safetensors", {**difference, "difference": torch.zeros(0)})

    handle = diff_control_net_loader(model, "d.safetensors", bench)

    expected = predict(model, steered(load(bench, whole), "sd15"))
    assert torch.allclose(predict(model, steered(handle, "sd15")), expected, atol=1e-3)
    with pytest.raises(MissingInputError, match="DiffControlNetLoader"):
        control_net_loader("d.safetensors", bench)


def test_a_control_lora_is_completed_by_the_model(shared, bench):
    draw = Draw(20)
    control_lora(draw, SMALL_SDXL)
    base = {
        key.removeprefix("model.diffusion_model."): value.float()
        for key, value in small_sdxl().items()
    }
    whole = {key: value for key, value in draw.tensors.items() if key != "lora_controlnet"}
    for key in [key for key in whole if key.endswith(".up")]:
        up, down = whole.pop(key), whole.pop(key.replace(".up", ".down"))
        name = key.replace(".up", ".weight")
        change = up.float().flatten(1) @ down.float().flatten(1)
        whole[name] = base[name] + change.reshape(base[name].shape)
    model = model_of(shared, "sdxl")

    found = predict(model, steered(load(bench, draw.tensors), "sdxl", strength=0.7))

    ordinary = {key: value.float() for key, value in whole.items()}
    full = load(bench, ordinary, "d.safetensors")
    expected = predict(model, steered(full, "sdxl", strength=0.7))
    assert (found - expected).abs().max() <= 1e-4 * expected.std()
    assert (found - predict(model, condition("sdxl"))).abs().max() > 0.01 * expected.std()


def test_a_control_lora_takes_norms_that_it_lacks_from_the_model(shared, bench):
    draw = Draw(20)
    control_lora(draw, SMALL_SDXL)
    lacking = {k: v for k, v in draw.tensors.items() if "out_layers.0" not in k}
    model = model_of(shared, "sdxl")

    found = predict(model, steered(load(bench, lacking), "sdxl"))

    assert found.isfinite().all()
    whole = load(bench, draw.tensors, "d.safetensors")
    assert not torch.equal(found, predict(model, steered(whole, "sdxl")))


def test_a_control_lora_of_another_family_is_an_error(shared, bench):
    draw = Draw(20)
    control_lora(draw, SMALL_SDXL)
    narrow = ModelHandle(opened(write(bench.root / "n.safetensors", small_sdxl(channels=9))).model)
    handle = load(bench, draw.tensors)

    with pytest.raises(ModelMismatchError, match="does not fit the model"):
        predict(model_of(shared, "sd15"), steered(handle, "sd15"))
    concat = ConcatLatent(torch.zeros(1, 4, 6, 5), torch.ones(1, 1, 48, 40))
    with pytest.raises(ModelMismatchError, match="does not fit the model"):
        predict(narrow, replace(steered(handle, "sdxl"), concat=concat))


UNION: dict[str, Any] = {"num_control_type": 6, "num_trans_channel": 64, "num_trans_head": 8,
         "num_trans_layer": 1, "num_proj_channel": 64}  # fmt: skip


def union():
    oracle = ControlNetUnionModel(**CONFIGS["sdxl"], **HINT, **UNION).eval()
    draw = Draw(9)
    like(draw, oracle.state_dict())
    oracle.load_state_dict({key: value.float() for key, value in draw.tensors.items()})
    return oracle, draw.tensors


def test_a_union_is_told_which_hint_it_gets(shared, bench):
    model, (oracle, tensors) = model_of(shared, "sdxl"), union()
    handle = load(bench, tensors)

    depth = set_union_control_net_type(handle, "depth")
    normal = set_union_control_net_type(handle, "normal")

    kind = torch.zeros(1, 6)
    kind[0, 1] = 1
    with torch.no_grad():
        expected = by_diffusers(model, "sdxl", oracle, 0.7, control_type=kind, control_type_idx=[1])
    found = predict(model, steered(depth, "sdxl", strength=0.7))
    assert (found - expected).abs().max() <= 1e-5 * expected.std()
    assert not torch.equal(found, predict(model, steered(normal, "sdxl", strength=0.7)))


def test_a_hint_that_a_union_does_not_know_is_an_error(shared, bench):
    model, (_, tensors) = model_of(shared, "sdxl"), union()
    handle = load(bench, tensors)
    single = load(bench, small_controlnet(SMALL_SD15), "d.safetensors")

    with pytest.raises(MissingInputError, match="SetUnionControlNetType"):
        predict(model, steered(handle, "sdxl"))
    with pytest.raises(UnknownTypeError, match="knows no hint 'tile'"):
        set_union_control_net_type(handle, "tile")
    with pytest.raises(UnknownTypeError, match="There is one type only"):
        set_union_control_net_type(single, "tile")
    assert set_union_control_net_type(single, "auto") == single


@pytest.mark.parametrize(("made_for", "used_with"), [("sd15", "sd2"), ("sdxl", "sd15")])
def test_a_controlnet_of_another_family_is_an_error(shared, bench, made_for, used_with):
    handle = load(bench, small_controlnet(FAMILIES[made_for][1]))

    with pytest.raises(ModelMismatchError, match="does not fit the model"):
        predict(model_of(shared, used_with), steered(handle, used_with))


def test_a_file_that_is_no_controlnet_is_an_error(bench):
    write(bench.root / "models/controlnet/a.safetensors", {"some.weight": torch.zeros(1)})

    with pytest.raises(UnrecognisedFileError, match=r"holds no ControlNet .*some\.weight"):
        preflight({"control_net_name": "a.safetensors"}, bench.files)
    with pytest.raises(UnrecognisedFileError, match="T2I-Adapters"):
        control_net_loader("a.safetensors", bench)


def in_diffusers_names(tensors, kind):
    """By hand, so that it is no more than what the layouts are known to be."""
    names = {}
    for key in tensors:
        part, *rest = key.split(".")
        if part == "conv_in":
            names[key] = f"adapter.{key}"
        elif kind == "light":
            names[key] = f"adapter.{key}".replace(f"body.{rest[0]}.body", f"body.{rest[0]}.resnets")
        elif rest[1] == "in_conv":
            names[key] = f"adapter.body.{int(rest[0]) // 2}.in_conv.{rest[2]}"
        else:
            level, block = divmod(int(rest[0]), 2)
            names[key] = f"adapter.body.{level}.resnets.{block}.{rest[1]}.{rest[2]}"
    return {names[key]: value for key, value in tensors.items()}


ADAPTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("sd15", {"channels": [32, 64], "num_res_blocks": 2}),
    "grey": ("sd15", {"channels": [32, 64], "num_res_blocks": 2, "in_channels": 1}),
    "light": (
        "sd15", {"channels": [32], "num_res_blocks": 4, "adapter_type": "light_adapter"},
    ),
    "large": (
        "sdxl", {"channels": [64, 64, 128, 128], "num_res_blocks": 2, "downscale_factor": 16,
                 "adapter_type": "full_adapter_xl"},
    ),
}  # fmt: skip


def adapter_tensors(kind):
    draw, config = Draw(10), ADAPTERS[kind][1]
    if kind == "light":
        light_adapter(draw, (32, 32))
    else:
        adapter(draw, tuple(config["channels"]), channels=config.get("in_channels", 3),
                factor=config.get("downscale_factor", 8))  # fmt: skip
    return draw.tensors


def oracle_of(kind, tensors):
    oracle = T2IAdapter(**ADAPTERS[kind][1]).eval()
    own = in_diffusers_names(tensors, kind)
    oracle.load_state_dict({key: value.float() for key, value in own.items()})
    return oracle, own


@pytest.mark.parametrize("kind", ["full", "grey", "large"])
def test_an_adapter_of_either_layout_does_what_diffusers_does(shared, bench, kind):
    family = ADAPTERS[kind][0]
    model, tensors = model_of(shared, family), adapter_tensors(kind)
    oracle, own = oracle_of(kind, tensors)

    original, converted = load(bench, tensors), load(bench, own, "d.safetensors")

    side = 48 if kind == "large" else 40  # what the adapter can divide
    hint = resize(PICTURE.movedim(-1, 1), side, 48, "nearest-exact", "center")
    with torch.no_grad():
        made = oracle(hint.mean(1, keepdim=True) if kind == "grey" else hint)
        features = [each * 0.6 for each in made]
        expected = by_diffusers(model, family, None, 0, features=features)
        plain = by_diffusers(model, family, None, 0)
    found = predict(model, steered(original, family, strength=0.6))
    assert (found - expected).abs().max() <= 1e-5 * expected.std()
    assert (found - plain).abs().max() > 0.01 * expected.std()
    assert torch.equal(found, predict(model, steered(converted, family, strength=0.6)))


def test_a_light_adapter_of_either_layout_makes_what_diffusers_makes(bench):
    tensors = adapter_tensors("light")
    oracle, own = oracle_of("light", tensors)
    hint = PICTURE.movedim(-1, 1)

    for name, each in (("a.safetensors", tensors), ("b.safetensors", own)):
        handle = load(bench, each, name)
        with torch.no_grad():
            found, expected = handle.network.module()(hint), oracle(hint)
        assert [state.shape for state in found] == [(1, 32, 6, 5), (1, 32, 3, 3)]
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        fits = handle.adapter.fits
        assert fits(handle.spec.network.config, {"block_out_channels": [32, 32]})
        assert not fits(handle.spec.network.config, {"block_out_channels": [32, 64]})


def test_a_controlnet_and_an_adapter_work_together(shared, bench):
    model = model_of(shared, "sd15")
    net = load(bench, small_controlnet(SMALL_SD15))
    one = Conditioning((steered(net, "sd15"),))
    other = load(bench, adapter_tensors("full"), "a.safetensors")

    both = control_net_apply_advanced(one, one, other, PICTURE).positive.conds[0]

    alone = [steered(each, "sd15") for each in (net, other)]
    results = [predict(model, cond) for cond in (both, *alone)]
    assert not any(torch.equal(results[0], each) for each in results[1:])


def test_an_adapter_of_another_family_is_an_error(shared, bench):
    handle = load(bench, adapter_tensors("full"))

    with pytest.raises(ModelMismatchError, match="does not fit the model"):
        predict(model_of(shared, "sdxl"), steered(handle, "sdxl"))


def test_a_text_of_another_width_is_an_error(shared, bench):
    model, handle = model_of(shared, "sdxl"), load(bench, small_controlnet(SMALL_SDXL))
    cond = replace(steered(handle, "sdxl"), tokens=torch.zeros(1, 7, 64))

    with pytest.raises(WrongConditioningError, match="64 wide, this model's is 128 wide"):
        predict(model, cond)


def test_where_the_picture_is_shrunk_nothing_can_be_added(shared, bench):
    model, handle = model_of(shared, "sd15"), load(bench, small_controlnet(SMALL_SD15))
    half = float(model.parameterization.percent_to_sigma(0.5))
    smaller = model.with_alteration(DeepShrink(1, 2.0, 0.0, 0.5, True, "bicubic", "bicubic"))

    with pytest.raises(BadSettingError, match="overlap with those of a ControlNet"):
        predict(smaller, steered(handle, "sd15"))

    late = steered(handle, "sd15", start_percent=0.6)
    assert predict(smaller, late, sigma=torch.tensor([half * 1.5])).isfinite().all()
