"""PhotoMaker: a word of the prompt becomes the person in the pictures."""

import pytest
import torch
from torch.nn import functional
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModel

from nodes.builtin.conditioning.errors import TriggerPlaceError
from nodes.builtin.conditioning.photomaker import photo_maker_encode, photo_maker_loader
from nodes.models.adapters.errors import StyleMismatchError
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.loading.handles import ClipHandle
from nodes.models.networks.components.vision import prepare_pixels
from nodes.models.text.textual_inversion import Embeddings
from nodes.preflight.models import photomaker as preflight
from tests.nodes.bench import Bench
from tests.nodes.pictures import picture, untouched
from tests.tiny_models.checkpoints import small_flux, small_sd15, small_sdxl, write
from tests.tiny_models.handles import opened
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.vision_encoders import photomaker


def drawn():
    draw = Draw(93)
    photomaker(draw)
    return draw.tensors


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write(folder / "models" / "photomaker" / "pm.safetensors", drawn())
    return folder


@pytest.fixture(scope="module")
def maker(root):
    return photo_maker_loader("pm.safetensors", Bench(root))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("sdxl") / "sdxl.safetensors"
    return ClipHandle(opened(write(path, small_sdxl())).text)


def plain(clip, text, bench):
    return clip.encode(text, Embeddings(bench.files, bench.notice)).tokens


def mlp(tensors, name, x):
    part = {
        key.removeprefix(f"id_encoder.fuse_module.{name}."): value for key, value in tensors.items()
    }
    x = functional.layer_norm(x, x.shape[-1:], part["layernorm.weight"], part["layernorm.bias"])
    x = functional.gelu(functional.linear(x, part["fc1.weight"], part["fc1.bias"]))
    return functional.linear(x, part["fc2.weight"], part["fc2.bias"])


@torch.no_grad()
def expected_person(pictures, words):
    """Every step as the paper's authors write it down, on transformers' encoder."""
    tensors = {key: value.float() for key, value in drawn().items()}
    config = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=16,
        patch_size=4,
    )
    eyes, start = CLIPVisionModel(config).eval(), "id_encoder.vision_model."
    eyes.load_state_dict(
        {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    )
    pooled = eyes(prepare_pixels(pictures, 16, "clip")).pooler_output
    names = ("visual_projection", "visual_projection_2")
    person = torch.cat([pooled @ tensors[f"id_encoder.{n}.weight"].T for n in names], dim=1)
    fused = mlp(tensors, "mlp1", torch.cat([words, person], dim=1)) + words
    fused = mlp(tensors, "mlp2", fused) + fused
    norm = "id_encoder.fuse_module.layer_norm."
    weight, bias = tensors[f"{norm}weight"], tensors[f"{norm}bias"]
    return functional.layer_norm(fused, fused.shape[-1:], weight, bias)


def test_the_word_before_the_trigger_becomes_the_person(root, maker, clip):
    bench, pictures = Bench(root), picture(1, 16, 16)

    with untouched(pictures):
        (cond,) = photo_maker_encode(
            maker, pictures, clip, "a man photomaker, smiling", ctx=bench
        ).conds

    without = plain(clip, "a man, smiling", bench)
    man = 2  # the start, "a", and then it
    torch.testing.assert_close(cond.tokens[:, man], expected_person(pictures, without[:, man]))
    rest = [place for place in range(77) if place != man]
    assert torch.equal(cond.tokens[:, rest], without[:, rest])
    assert bench.notices == []


def test_the_word_is_said_once_a_picture(root, maker, clip):
    bench, pictures = Bench(root), picture(2, 16, 16)

    (cond,) = photo_maker_encode(maker, pictures, clip, "a man photomaker", ctx=bench).conds

    without = plain(clip, "a man man", bench)
    found = cond.tokens[0, 2:4]
    torch.testing.assert_close(found, expected_person(pictures, without[0, 2:4]))


def test_without_the_trigger_it_is_a_plain_prompt(root, maker, clip):
    bench = Bench(root)

    (cond,) = photo_maker_encode(maker, picture(1, 16, 16), clip, "a man", ctx=bench).conds

    assert torch.equal(cond.tokens, plain(clip, "a man", bench))
    assert "photomaker" in bench.notices[0]


def test_the_trigger_must_be_in_the_first_section(root, maker, clip):
    with pytest.raises(TriggerPlaceError, match="75 tokens"):
        photo_maker_encode(
            maker, picture(1, 16, 16), clip, "very " * 80 + "man photomaker", ctx=Bench(root)
        )


def test_text_encoders_of_another_family_are_refused(root, maker, tmp_path):
    clip = ClipHandle(opened(write(tmp_path / "small.safetensors", small_sd15())).text)

    with pytest.raises(StyleMismatchError, match=r"128 wide.*64"):
        photo_maker_encode(maker, picture(1, 16, 16), clip, "a man photomaker", ctx=Bench(root))


def test_other_files_are_refused(tmp_path):
    folder, second = tmp_path / "models" / "photomaker", Draw(1)
    second.linear("id_encoder.qformer_perceiver.token_proj.0", 32, 32)
    write(folder / "other.safetensors", small_flux())
    write(folder / "second.safetensors", drawn() | second.tensors)

    for name in ("other", "second"):
        with pytest.raises(UnrecognisedFileError, match=name):
            preflight({"photomaker_model_name": f"{name}.safetensors"}, Bench(tmp_path).files)
