"""LoRAs are patches on handles: the checkpoint's own weights stay as they are."""

from dataclasses import dataclass, field, replace

import pytest
import torch

from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader, lora_loader_model_only
from nodes.models.families.base.spec import LoraMark
from nodes.models.families.denoisers.flux import FLUX
from nodes.models.families.registry import families
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.loading.network_file import NetworkFile
from nodes.models.loading.variants.resident import VARIANTS_KEPT
from nodes.models.patches import lora_names
from nodes.models.patches.lora import lora_patch
from nodes.models.patches.lora_file import LoraFile
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_sd15, write
from tests.tiny_models.handles import opened

KEY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
CONV = "down_blocks.0.resnets.0.conv1.weight"
QUERY = "encoder.layers.0.self_attn.q_proj.weight"
DIFFUSERS = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
READS_TEXT = DIFFUSERS.replace("attn1_to_q", "attn2_to_k")
ADDED = "transformer.transformer_blocks.0.attn.add_k_proj"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return opened(write(folder / "small.safetensors", small_sd15()))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def save(bench, tensors, name="a.safetensors"):
    write(bench.root / "models" / "loras" / name, tensors)
    return name


def factors(rows=32, columns=32, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 4, generator=draw), torch.randn(4, columns, generator=draw)


def weight(network, key, patches=()):
    return network.module(patches).state_dict()[key]


def change_of(checkpoint, tensors, bench, key=KEY):
    """How a LoRA at strength 1 changes one weight of the U-Net."""
    save(bench, tensors)
    patch = lora_patch(lora_file(bench), 1.0, checkpoint.model.network)
    return weight(checkpoint.model.network, key, (patch,)) - weight(checkpoint.model.network, key)


def lora_file(bench, name="a.safetensors"):
    path = bench.root / "models" / "loras" / name
    return LoraFile(path, bench.files.identity(path))


@pytest.mark.parametrize(
    ("name", "up", "down"),
    [
        (DIFFUSERS, ".lora_up.weight", ".lora_down.weight"),
        (
            "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q",
            ".lora_up.weight",
            ".lora_down.weight",
        ),
        ("unet." + KEY.removesuffix(".weight"), ".lora_B.weight", ".lora_A.weight"),
        ("unet." + KEY.removesuffix(".weight"), ".lora.up.weight", ".lora.down.weight"),
        (
            "base_model.model." + KEY.removesuffix(".weight"),
            ".lora_B.default.weight",
            ".lora_A.default.weight",
        ),
        (
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q",
            "_lora.up.weight",
            "_lora.down.weight",
        ),
        (
            "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q",
            ".lora_B.weight",
            ".lora_A.weight",
        ),
    ],
)
def test_every_trainers_names_mean_the_same_weight(checkpoint, bench, name, up, down):
    rows, columns = factors()

    change = change_of(checkpoint, {f"{name}{up}": rows, f"{name}{down}": columns}, bench)

    torch.testing.assert_close(change, rows @ columns, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        TEXT,
        TEXT.replace("lora_te_", "lora_te1_"),
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
        "text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj",
    ],
)
def test_text_encoders_have_names_of_their_own(checkpoint, bench, name):
    up, down = factors(64, 64)
    save(bench, {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down})

    patch = lora_patch(lora_file(bench), 0.5, checkpoint.text.encoders[0].network)

    changed = weight(checkpoint.text.encoders[0].network, QUERY, (patch,))
    expected = weight(checkpoint.text.encoders[0].network, QUERY) + 0.5 * (up @ down)
    torch.testing.assert_close(changed, expected.half().float(), rtol=0, atol=0)


def test_alpha_divides_by_the_rank(checkpoint, bench):
    up, down = factors()
    tensors = {f"{DIFFUSERS}.lora_up.weight": up, f"{DIFFUSERS}.lora_down.weight": down}

    change = change_of(checkpoint, {**tensors, f"{DIFFUSERS}.alpha": torch.tensor(2.0)}, bench)

    torch.testing.assert_close(change, up @ down / 2, rtol=1e-4, atol=1e-5)


def conv_lora(*, middle):
    draw = torch.Generator().manual_seed(3)
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    size = 1 if middle else 3
    tensors = {
        f"{name}.lora_up.weight": torch.randn(32, 4, 1, 1, generator=draw),
        f"{name}.lora_down.weight": torch.randn(4, 32, size, size, generator=draw),
    }
    if middle:
        tensors[f"{name}.lora_mid.weight"] = torch.randn(4, 4, 3, 3, generator=draw)
    return tensors


@pytest.mark.parametrize("middle", [False, True])
def test_a_convolutions_factors_convolve_as_one(checkpoint, bench, middle):
    tensors = conv_lora(middle=middle)
    x = torch.randn(1, 32, 6, 6, generator=torch.Generator().manual_seed(4))

    change = change_of(checkpoint, tensors, bench, CONV)

    expected = x
    for part in ("down", "mid", "up"):
        for key, kernel in tensors.items():
            if f"lora_{part}" in key:
                expected = torch.conv2d(expected, kernel, padding=kernel.shape[-1] // 2)
    found = torch.conv2d(x, change, padding=1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@dataclass
class Kind:
    """One way to write a change down: its tensors, and the change."""

    tensors: dict[str, torch.Tensor]
    change: torch.Tensor
    note: str = field(default="")


def loha():
    (a, b), (c, d) = factors(seed=1), factors(seed=2)
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    return Kind({**parts, "alpha": torch.tensor(1.0)}, (a @ b) * (c @ d) / 4, "loha")


def lokr():
    small = torch.randn(4, 4, generator=torch.Generator().manual_seed(5))
    up, down = factors(8, 8)
    whole = {"lokr_w1": small, "lokr_w2_a": up, "lokr_w2_b": down, "alpha": torch.tensor(8.0)}
    return Kind(whole, torch.kron(small, up @ down) * 2, "lokr")


def plain_difference():
    up, down = factors()
    return Kind({"diff": up @ down}, up @ down, "diff")


@pytest.mark.parametrize("kind", [loha(), lokr(), plain_difference()], ids=lambda kind: kind.note)
def test_other_factorings_of_a_change(checkpoint, bench, kind):
    tensors = {f"{DIFFUSERS}.{part}": value for part, value in kind.tensors.items()}

    change = change_of(checkpoint, tensors, bench)

    torch.testing.assert_close(change, kind.change, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "axis"), [((32, 1), 1), ((1, 32), 0)])
def test_dora_gives_each_row_or_column_its_length(checkpoint, bench, shape, axis):
    up, down = factors()
    tensors = {"lora_up.weight": up, "lora_down.weight": down}
    tensors["dora_scale"] = torch.full(shape, 3.0)
    save(bench, {f"{DIFFUSERS}.{part}": value for part, value in tensors.items()})

    patch = lora_patch(lora_file(bench), 1.0, checkpoint.model.network)

    changed = weight(checkpoint.model.network, KEY, (patch,))
    torch.testing.assert_close(changed.norm(dim=axis), torch.full((32,), 3.0))


def test_bias_differences_are_added(checkpoint, bench):
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    bias = CONV.replace("weight", "bias")

    change = change_of(checkpoint, {f"{name}.diff_b": torch.ones(32)}, bench, bias)

    torch.testing.assert_close(change, torch.ones(32))


def tokens():
    return CondBatch(torch.ones(1, 77, 64))


def denoised(model):
    x = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
    return denoise(model, x, torch.tensor([2.0]), tokens())


def whole_lora():
    return lora(7, {DIFFUSERS: (32, 32), TEXT: (64, 64)})


def test_the_base_is_the_same_bit_for_bit_afterwards(checkpoint, bench):
    model, clip = ModelHandle(checkpoint.model), ClipHandle(checkpoint.text)
    before = denoised(model)
    versions = [p._version for p in checkpoint.model.network.module().parameters()]

    patched = lora_loader(model, clip, save(bench, whole_lora()), bench, 0.8, 0.8)

    assert not torch.equal(denoised(patched.MODEL), before)
    assert torch.equal(denoised(model), before)
    assert [p._version for p in checkpoint.model.network.module().parameters()] == versions


def test_a_clone_shares_what_the_lora_leaves_alone(checkpoint, bench):
    model = lora_loader_model_only(
        ModelHandle(checkpoint.model), save(bench, whole_lora()), bench, 1.0
    )

    base = checkpoint.model.network.module().state_dict()
    clone = checkpoint.model.network.module(model.patches).state_dict()

    own = {key for key in base if base[key].data_ptr() != clone[key].data_ptr()}
    assert own == {KEY}
    assert model.weight_bytes == base[KEY].nbytes


def test_another_strength_reads_nothing_of_the_checkpoint(checkpoint, bench, monkeypatch):
    name = save(bench, whole_lora())
    model = ModelHandle(checkpoint.model)
    denoised(model)
    monkeypatch.setattr(NetworkFile, "load", lambda _: pytest.fail("loaded again"))

    results = [
        denoised(lora_loader_model_only(model, name, bench, strength))
        for strength in (0.5, 1.0, 0.5)
    ]

    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[1])


def test_clones_are_kept_for_the_latest_patches_only(checkpoint, bench):
    file = lora_file(bench, save(bench, whole_lora()))
    patches = [
        lora_patch(file, n + 1.0, checkpoint.model.network) for n in range(VARIANTS_KEPT + 1)
    ]

    first = checkpoint.model.network.module((patches[0],))
    again = checkpoint.model.network.module((patches[0],))
    for patch in patches[1:]:
        checkpoint.model.network.module((patch,))

    assert again is first
    assert checkpoint.model.network.module((patches[0],)) is not first


def test_handles_with_equal_patches_are_equal(checkpoint, bench):
    name = save(bench, whole_lora())
    model = ModelHandle(checkpoint.model)

    one, two, other = (
        lora_loader_model_only(model, name, bench, strength) for strength in (0.5, 0.5, 0.6)
    )

    assert one == two
    assert hash(one) == hash(two)
    assert one != other


def test_two_loras_add_up(checkpoint, bench):
    name = save(bench, whole_lora())
    once = lora_loader_model_only(ModelHandle(checkpoint.model), name, bench, 1.0)
    twice = lora_loader_model_only(once, name, bench, 1.0)

    base, one, two = (
        weight(checkpoint.model.network, KEY, p) for p in ((), once.patches, twice.patches)
    )

    torch.testing.assert_close(two - base, 2 * (one - base))


def test_at_strength_zero_the_same_handles_come_back(checkpoint, bench):
    model, clip = ModelHandle(checkpoint.model), ClipHandle(checkpoint.text)

    patched = lora_loader(model, clip, "not even there", bench, 0.0, 0.0)
    text_only = lora_loader(model, clip, save(bench, whole_lora()), bench, 0.0, 1.0)

    assert patched.MODEL is model
    assert patched.CLIP is clip
    assert text_only.MODEL is model
    assert text_only.CLIP is not clip


def test_what_fits_nowhere_is_reported(checkpoint, bench):
    tensors = whole_lora() | lora(8, {"lora_unet_nothing_like_this": (4, 4)})
    tensors["stray"] = torch.zeros(1)

    lora_loader(
        ModelHandle(checkpoint.model),
        ClipHandle(checkpoint.text),
        save(bench, tensors),
        bench,
        1.0,
        1.0,
    )

    (notice,) = bench.notices
    assert "2 of 4 modules match no layer: lora_unet_nothing_like_this, stray" in notice


@pytest.mark.parametrize(
    ("tensors", "looks"),
    [
        (lora(1, {"lora_unet_double_blocks_0_img_attn_qkv": (12, 4)}), "looks like one for FLUX.1"),
        (lora(1, {"diffusion_model.joint_blocks.0.x_block.attn.qkv": (12, 4)}), "Diffusion 3.x"),
        (lora(1, {ADDED: (1536, 1536)}), "looks like one for Stable Diffusion 3.x"),
        (lora(1, {ADDED: (3072, 3072)}), "looks like one for FLUX.1"),
        (lora(1, {READS_TEXT: (32, 2048)}), "looks like one for Stable Diffusion XL"),
        (lora(1, {READS_TEXT: (32, 48)}), "was made for something else"),
        (lora(1, {"blocks.0.cross_attn.k": (32, 48)}), "looks like one for Wan"),
        (lora(1, {DIFFUSERS: (64, 64)}), "was made for something else"),
        ({"weight": torch.zeros(1)}, "was made for something else"),
    ],
)
def test_a_lora_for_another_family_is_an_error(checkpoint, bench, tensors, looks):
    name = save(bench, tensors)

    with pytest.raises(LoraMismatchError, match=looks):
        lora_loader_model_only(ModelHandle(checkpoint.model), name, bench, 1.0)


def test_a_family_that_becomes_known_has_its_loras(checkpoint, bench, monkeypatch):
    wan = replace(
        FLUX, title="Wan 2.1", loras=(LoraMark(r"blocks\.\d+\.(self|cross)_attn", "wan"),)
    )
    monkeypatch.setattr(lora_names, "families", lambda: (*families(), wan))
    name = save(bench, lora(1, {"blocks.0.cross_attn.k": (32, 48)}))

    with pytest.raises(LoraMismatchError, match=r"looks like one for Wan 2\.1"):
        lora_loader_model_only(ModelHandle(checkpoint.model), name, bench, 1.0)


def test_what_fits_by_chance_does_not_make_it_this_familys(checkpoint, bench):
    name = save(bench, lora(1, {DIFFUSERS: (32, 32), READS_TEXT: (32, 2048)}))

    with pytest.raises(LoraMismatchError, match="looks like one for Stable Diffusion XL"):
        lora_loader_model_only(ModelHandle(checkpoint.model), name, bench, 1.0)


def test_the_model_only_loader_does_not_miss_the_text_encoders_part(checkpoint, bench):
    lora_loader_model_only(ModelHandle(checkpoint.model), save(bench, whole_lora()), bench, 1.0)

    assert not bench.notices
