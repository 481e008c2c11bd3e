"""A LoRA in any trainer's names changes any family's weights as the same change of its file does.

What is expected comes from a checkpoint whose own tensors were changed, in the file's layout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor

from nodes.models.loading.checkpoint import Checkpoint
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.loading.network import Network
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.models.patches.lora_names import likeness
from nodes.values import CondBatch
from tests.tiny_models.checkpoints import (
    content_hash,
    small_flux,
    small_refiner,
    small_sd3,
    small_sd15,
    small_sd21,
    small_sdxl,
    write,
)
from tests.tiny_models.handles import opened
from tests.tiny_models.random_weights import Draw, Tensors, t5

UNET = "model.diffusion_model."
CLIP_L, CLIP_G = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
ATTENTION = "input_blocks.{}.1.transformer_blocks.0.attn1.to_q"
DOWN = "down_blocks.{}.attentions.0.transformer_blocks.0.attn1.to_q"
T5 = "text_encoders.t5xxl.transformer."
QUERY = "encoder.layers.0.self_attn.q_proj"
ALL = (0, 1, 1)


def sd3_with_t5() -> Tensors:
    draw = Draw(9)
    t5(draw, 64, 64, 1, T5)
    return small_sd3() | draw.tensors


FAMILIES: dict[str, Callable[[], Tensors]] = {
    "sd15": small_sd15,
    "sd2": small_sd21,
    "sdxl": small_sdxl,
    "refiner": small_refiner,
    "sd3": sd3_with_t5,
    "flux": small_flux,
}


ALIKE = ("sd2", "refiner")
"""Families whose networks are named as another one's."""


@cache
def tensors_of(family: str) -> Tensors:
    return FAMILIES[family]()


@dataclass(frozen=True)
class Case:
    """A LoRA's name, and which part of which tensor of the file it means."""

    family: str
    name: str
    key: str
    part: tuple[int, int, int] = ALL
    """From which row to which, out of how many parts."""
    network: str = "model"
    turned: bool = False
    """Whether the file has the matrix the other way round."""
    style: str = "kohya"


def flat(path: str) -> str:
    return path.replace(".", "_")


def unets() -> list[Case]:
    found: list[Case] = []
    for family, place, block in (("sd15", 1, 0), ("sd2", 1, 0), ("sdxl", 3, 1), ("refiner", 3, 1)):
        stored, own = ATTENTION.format(place), DOWN.format(block)
        names = {
            f"lora_unet_{flat(own)}": "kohya",
            f"lora_unet_{flat(stored)}": "kohya",
            f"lycoris_{flat(own)}": "kohya",
            f"unet.{own}": "peft",
            f"base_model.model.{own}": "peft",
            f"unet.{own.replace('to_q', 'processor.to_q')}": "old",
            f"diffusion_model.{stored}": "peft",
        }
        key = f"{UNET}{stored}.weight"
        known = list(names.items()) if family == "sd15" else [*names.items()][:2]
        found += [Case(family, name, key, style=style) for name, style in known]
    return found


def transformers() -> list[Case]:
    qkv, joint = "double_blocks.0.img_attn.qkv", "joint_blocks.0.x_block.attn.qkv"
    single, last = "single_blocks.1.linear1", "joint_blocks.1.context_block.adaLN_modulation.1"
    return [
        Case("flux", f"lora_unet_{flat(qkv)}", f"{qkv}.weight"),
        *(Case("flux", n, f"{qkv}.weight", style="peft") for n in (qkv, f"diffusion_model.{qkv}")),
        Case("flux", "lora_unet_single_blocks_1_linear1", f"{single}.weight"),
        *(
            Case("flux", name, f"{single}.weight", part, style=style)
            for name, part, style in (
                ("transformer.single_transformer_blocks.1.attn.to_v", (2, 3, 7), "peft"),
                ("transformer.single_transformer_blocks.1.proj_mlp", (3, 7, 7), "peft"),
                ("lora_transformer_single_transformer_blocks_1_attn_to_q", (0, 1, 7), "kohya"),
            )
        ),
        Case(
            "flux",
            "transformer.transformer_blocks.0.attn.add_k_proj",
            "double_blocks.0.txt_attn.qkv.weight",
            (1, 2, 3),
            style="peft",
        ),
        Case("flux", "lora_unet_final_layer_linear", "final_layer.linear.weight"),
        Case("flux", "transformer.x_embedder", "img_in.weight", style="peft"),
        Case("sd3", f"lora_unet_{flat(joint)}", f"{UNET}{joint}.weight"),
        Case("sd3", f"diffusion_model.{joint}", f"{UNET}{joint}.weight", style="peft"),
        Case(
            "sd3",
            "transformer.transformer_blocks.0.attn.to_k",
            f"{UNET}{joint}.weight",
            (1, 2, 3),
            style="peft",
        ),
        Case(
            "sd3",
            "lora_transformer_transformer_blocks_0_attn_to_v",
            f"{UNET}{joint}.weight",
            (2, 3, 3),
        ),
        Case("sd3", f"lora_unet_{flat(last)}", f"{UNET}{last}.weight"),
    ]


def texts() -> list[Case]:
    fused, hf = "transformer.resblocks.0.attn.in_proj_weight", f"text_model.{QUERY}"
    value = QUERY.replace("q_proj", "v_proj")
    sd3 = "text_encoders.clip_g.transformer."
    block = "encoder.block.1.layer.0.SelfAttention.k"
    return [
        Case("sdxl", f"lora_te1_{flat(hf)}", f"{CLIP_L}{hf}.weight", network="clip_l"),
        Case("sdxl", f"text_encoder.{hf}", f"{CLIP_L}{hf}.weight", ALL, "clip_l", style="peft"),
        Case("sdxl", f"lora_te2_{flat(hf)}", CLIP_G + fused, (0, 1, 3), "clip_g"),
        Case(
            "sdxl",
            f"text_encoder_2.text_model.{value}",
            CLIP_G + fused,
            (2, 3, 3),
            "clip_g",
            style="peft",
        ),
        Case(
            "sdxl",
            f"text_encoders.clip_g.transformer.{hf}",
            CLIP_G + fused,
            (0, 1, 3),
            "clip_g",
        ),
        Case(
            "sdxl",
            "lora_te2_text_projection",
            f"{CLIP_G}text_projection",
            ALL,
            "clip_g",
            turned=True,
        ),
        Case("sd2", f"lora_te_{flat(hf)}", f"cond_stage_model.model.{fused}", (0, 1, 3), "clip_h"),
        Case("sd3", f"lora_te2_{flat(hf)}", f"{sd3}{hf}.weight", network="clip_g"),
        Case("sd3", f"lora_te3_{flat(block)}", f"{T5}{block}.weight", network="t5xxl"),
        Case("sd3", f"text_encoder_3.{block}", f"{T5}{block}.weight", ALL, "t5xxl", style="peft"),
        Case(
            "sd3",
            f"text_encoders.t5xxl.transformer.{block}",
            f"{T5}{block}.weight",
            network="t5xxl",
        ),
    ]


STYLES = {
    "kohya": (".lora_up.weight", ".lora_down.weight"),
    "peft": (".lora_B.weight", ".lora_A.weight"),
    "old": ("_lora.up.weight", "_lora.down.weight"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("loras")


@pytest.fixture(scope="module")
def base(folder):
    @cache
    def checkpoint(family: str) -> Checkpoint:
        return opened(write(folder / f"{family}.safetensors", tensors_of(family)))

    return checkpoint


def network_of(checkpoint: Checkpoint, name: str) -> Network:
    if name == "model":
        return checkpoint.model.network
    return next(e.network for e in checkpoint.text.encoders if e.name == name)


def factors(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(rows + columns)
    return torch.randn(rows, 2, generator=draw), torch.randn(2, columns, generator=draw) / 16


def changed_file(tensors: Tensors, changes: Tensors) -> Tensors:
    """With some of its tensors changed, in its own precision: a sum is rounded there or later."""
    return {
        k: (v.float() + changes[k]).to(v.dtype) if k in changes else v for k, v in tensors.items()
    }


def patched(base, folder, case, tensors: Tensors, strength: float = 1.0):
    """A network's weights after a LoRA."""
    path = write(folder / "lora.safetensors", tensors)
    file = LoraFile(path, content_hash(tensors))
    network = network_of(base(case.family), case.network)
    patch = lora_patch(file, strength, network)
    assert patch.targets.keys() == file.modules.keys()
    return network.module((patch,)).state_dict(), patch


def loaded(folder, case, tensors: Tensors):
    """The same network's weights as a file has them."""
    checkpoint = opened(write(folder / "changed.safetensors", tensors))
    return network_of(checkpoint, case.network).module().state_dict()


def assert_equal(found, expected, keys):
    for key, weight in expected.items():
        if key in keys:
            torch.testing.assert_close(found[key], weight, rtol=1e-3, atol=1e-3)
        else:
            assert torch.equal(found[key], weight), key


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if case.family in ALIKE else ())
        for case in (*unets(), *transformers(), *texts())
    ],
    ids=lambda c: f"{c.family}-{c.name}",
)
def test_a_change_of_the_file_and_a_lora_are_the_same(base, folder, case):
    file = tensors_of(case.family)
    first, end, parts = case.part
    stored = file[case.key]
    step = stored.shape[0] // parts
    up, down = factors(step * (end - first), stored.shape[1])
    change = torch.zeros(stored.shape)
    change[first * step : end * step] = (up @ down).T if case.turned else up @ down
    suffixes = STYLES[case.style]

    names = {f"{case.name}{suffixes[0]}": up, f"{case.name}{suffixes[1]}": down}
    found, patch = patched(base, folder, case, names)

    expected = loaded(folder, case, changed_file(file, {case.key: change}))
    assert_equal(found, expected, patch.touches)
    before = network_of(base(case.family), case.network).module().state_dict()
    assert {key for key in before if not torch.equal(found[key], before[key])} == patch.touches


FUSED = Case(
    "flux", "lora_unet_double_blocks_0_txt_attn_qkv", "double_blocks.0.txt_attn.qkv.weight"
)


def dora(weight: Tensor, strength: float) -> tuple[Tensors, Tensor]:
    up, down = factors(*weight.shape)
    length = torch.linspace(0.5, 2.0, weight.shape[1])[None]
    merged = weight + 0.5 * up @ down
    aim = merged * length / merged.norm(dim=0, keepdim=True)
    parts = {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": length}
    return {**parts, "alpha": torch.tensor(1.0)}, strength * (aim - weight)


def loha(weight: Tensor, strength: float) -> tuple[Tensors, Tensor]:
    (a, b), (c, d) = factors(*weight.shape), factors(*weight.shape)
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    return parts, strength * (a @ b) * (c @ d)


def lokr(weight: Tensor, strength: float) -> tuple[Tensors, Tensor]:
    small, large = factors(3, 4)[0], torch.ones(weight.shape[0] // 3, weight.shape[1] // 2)
    return {"lokr_w1": small, "lokr_w2": large}, strength * torch.kron(small, large)


def difference(weight: Tensor, strength: float) -> tuple[Tensors, Tensor]:
    return {"diff": torch.full(weight.shape, 0.25)}, torch.full(weight.shape, 0.25) * strength


def replacement(weight: Tensor, strength: float) -> tuple[Tensors, Tensor]:
    del strength  # it is put there, not added
    return {"set_weight": torch.full(weight.shape, 0.25)}, 0.25 - weight


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("kind", [dora, loha, lokr, difference, replacement])
def test_every_kind_of_change_treats_fused_weights_as_one(base, folder, kind, strength):
    file = tensors_of("flux")
    parts, change = kind(file[FUSED.key].float(), strength)

    tensors = {f"{FUSED.name}.{part}": tensor for part, tensor in parts.items()}
    found, patch = patched(base, folder, FUSED, tensors, strength)

    expected = loaded(folder, FUSED, changed_file(file, {FUSED.key: change}))
    assert_equal(found, expected, patch.touches)


def test_biases_and_norms_change_too(base, folder):
    file = tensors_of("flux")
    bias, scale = "single_blocks.0.linear1.bias", "double_blocks.0.img_attn.norm.key_norm.scale"
    added = torch.linspace(-1, 1, len(file[bias]))
    tensors = {
        "single_blocks.0.linear1.lora_B.bias": added,
        scale: torch.linspace(0, 1, len(file[scale])),
    }

    found, patch = patched(base, folder, FUSED, tensors)

    changes = {bias: added, scale: tensors[scale] - file[scale].float()}
    assert_equal(found, loaded(folder, FUSED, changed_file(file, changes)), patch.touches)


def test_a_control_lora_lets_the_model_read_a_second_latent(base, folder):
    checkpoint = base("flux")
    up, down = factors(64, 128)
    path = write(
        folder / "depth.safetensors", {"img_in.lora_B.weight": up, "img_in.lora_A.weight": down}
    )
    model = ModelHandle(checkpoint.model)
    cond = CondBatch(torch.ones(1, 4, 64), torch.ones(1, 64), {"guidance": torch.ones(1)})
    x = torch.linspace(-1, 1, 32 * 8 * 8).reshape(1, 32, 8, 8)
    before = denoise(model, x[:, :16], torch.tensor([0.5]), cond)

    network = checkpoint.model.network
    own = network.module((lora_patch(LoraFile(path, "depth"), 0.5, network),))

    weight = own.state_dict()["x_embedder.weight"]
    base_weight = network.module().state_dict()["x_embedder.weight"]
    torch.testing.assert_close(weight[:, :64], base_weight + 0.5 * (up @ down)[:, :64])
    torch.testing.assert_close(weight[:, 64:], 0.5 * (up @ down)[:, 64:])
    output = checkpoint.model.adapter.predict(own, x, torch.tensor([0.5]), cond)
    assert output.shape == (1, 16, 8, 8)
    assert torch.equal(denoise(model, x[:, :16], torch.tensor([0.5]), cond), before)


@pytest.mark.parametrize(
    ("own", "others", "title"), [(8, 3, "Stable Diffusion 1.x"), (3, 8, "FLUX.1")]
)
def test_what_most_of_a_lora_is_for_tells_its_family(tmp_path, own, others, title):
    unet = [
        f"lora_unet_down_blocks_{n}_attentions_0_transformer_blocks_0_attn2_to_k"
        for n in range(own)
    ]
    flux = [f"lora_unet_double_blocks_{n}_img_attn_qkv" for n in range(others)]
    tensors = {}
    for name in [*unet, *flux]:
        tensors |= {f"{name}.lora_up.weight": torch.ones(8, 1)}
        tensors |= {f"{name}.lora_down.weight": torch.ones(1, 768)}
    path = write(tmp_path / "mixed.safetensors", tensors)

    found = likeness(LoraFile(path, identity=""))

    assert found is not None
    assert found.title == title
