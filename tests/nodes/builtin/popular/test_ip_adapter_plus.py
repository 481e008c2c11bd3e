"""IP-Adapters by the nodes of IPAdapter_plus, against our own."""

from typing import Any

import pytest
import torch
from PIL import Image as Pictures

from nodegraph.errors import NodeGraphError
from nodes.builtin.conditioning.clip_vision import clip_vision_loader
from nodes.builtin.conditioning.ip_adapter import ip_adapter_apply
from nodes.builtin.popular.clip_image import prep_image_for_clip_vision
from nodes.builtin.popular.ip_adapter_plus import (
    ip_adapter_advanced,
    ip_adapter_model_loader,
    ip_adapter_simple,
    ip_adapter_unified_loader,
)
from nodes.models.adapters.ip_adapter_weights import SHAPES, Layer, layers_of, weights_of
from nodes.models.loading.handles import ModelHandle
from tests.nodes.bench import Bench
from tests.nodes.builtin.conditioning.test_ip_adapter import WIDTHS, ask, text, write_models
from tests.nodes.pictures import picture
from tests.tiny_models.checkpoints import write
from tests.tiny_models.handles import opened
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.vision_encoders import vision

H, G = "CLIP-ViT-H-14-laion2B-s32B-b79K", "clip_vision_g"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write_models(folder)
    models = folder / "models"
    names = {
        "plain": "ip-adapter_sd15",
        "plus": "sub/ip-adapter-plus_sd15",
        "sdxl": "ip-adapter_sdxl",
    }
    (models / "ipadapter" / "sub").mkdir()
    for old, new in names.items():
        (models / "ipadapter" / f"{new}.safetensors").hardlink_to(
            models / "ipadapter" / f"{old}.safetensors"
        )
    for number, name in enumerate((H, G)):
        draw = Draw(number)
        vision(draw)
        write(models / "clip_vision" / f"{name}.safetensors", draw.tensors)
    return folder


@pytest.fixture
def bench(root):
    return Bench(root)


@pytest.fixture(scope="module")
def models(root):
    places = {name: root / f"models/checkpoints/{name}.safetensors" for name in ("sd15", "sdxl")}
    return {name: ModelHandle(opened(path).model) for name, path in places.items()}


@pytest.fixture
def eyes(bench):
    return clip_vision_loader("eyes.safetensors", bench)


def advanced(model, adapter, images, eyes=None, **more):
    given: Any = {"weight_type": "linear", "combine_embeds": "concat", "embeds_scaling": "V only"}
    return ip_adapter_advanced(
        model=model, ipadapter=adapter, image=images, clip_vision=eyes, **(given | more)
    )


def test_linear_on_the_values_is_our_own(models, bench, eyes):
    model, adapter = models["sd15"], ip_adapter_model_loader("plus.safetensors", bench)

    theirs = advanced(model, adapter, picture(2, 16, 16), eyes, weight=0.7, end_at=0.9)
    ours = ip_adapter_apply(model, adapter, eyes, picture(2, 16, 16), 0.7, 0.0, 0.9)

    torch.testing.assert_close(ask(theirs, text()), ask(ours, text()))


def test_the_unified_loader_finds_the_files_by_their_names(models, bench):
    model = models["sd15"]

    found: Any
    large: Any
    _, found = ip_adapter_unified_loader(model, "PLUS (high strength)", ctx=bench)
    _, other = ip_adapter_unified_loader(model, "STANDARD (medium strength)", found, ctx=bench)
    _, large = ip_adapter_unified_loader(models["sdxl"], "VIT-G (medium strength)", ctx=bench)

    assert found.network.header.path.stem == "ip-adapter-plus_sd15"
    assert found.vision.network.header.path.stem == H
    assert other.vision is found.vision
    assert large.vision.network.header.path.stem == G
    shown = ip_adapter_simple(
        model=model, ipadapter=found, image=picture(1, 16, 16), weight_type="standard"
    )
    ours = ip_adapter_apply(model, found, found.vision, picture(1, 16, 16))
    torch.testing.assert_close(ask(shown, text()), ask(ours, text()))


@pytest.mark.parametrize(
    ("family", "preset", "problem"),
    [
        ("sd15", "PLUS FACE (portraits)", r"ip-adapter-plus-face_sd15\.safetensors"),
        ("sdxl", "FULL FACE - SD1.5 only (portraits stronger)", "nothing for a model"),
    ],
)
def test_the_unified_loader_says_what_is_missing(models, bench, family, preset, problem):
    with pytest.raises(NodeGraphError, match=problem):
        ip_adapter_unified_loader(models[family], preset, ctx=bench)


def test_without_a_vision_encoder_the_message_says_what_to_link(models, bench):
    adapter = ip_adapter_model_loader("plain.safetensors", bench)

    with pytest.raises(NodeGraphError, match="clip_vision"):
        advanced(models["sd15"], adapter, picture(1, 16, 16))


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_layers_stand_in_the_adapters_order_and_are_numbered_as_computed(models, name):
    layers = layers_of(models[name].model)

    assert [layer.width for layer in layers] == WIDTHS[name]
    places = [layer.place for layer in layers]
    assert places == sorted(places, key=("down", "up", "mid").index)
    numbers = {place: {x.number for x in layers if x.place == place} for place in places}
    assert max(numbers["down"]) < min(numbers["mid"]) == max(numbers["mid"]) < min(numbers["up"])


def layer(number, place, *, is_xl):
    return Layer(place, number, 11 if is_xl else 16, 64)


XL = [layer(k, "down" if k < 4 else "mid" if k == 4 else "up", is_xl=True) for k in range(11)]
SD = [layer(k, "down" if k < 6 else "mid" if k == 6 else "up", is_xl=False) for k in range(16)]


def shares(name, layers):
    return [round(SHAPES[name](each), 3) for each in layers]


def test_style_and_composition_hold_where_instantstyle_found_them():
    assert shares("style transfer", XL) == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert shares("composition", XL) == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert shares("strong style transfer", XL) == [1, 1, 1, 0, *[1] * 7]
    assert shares("composition", SD) == [0, 0, 0, 0, 0.25, 1, *[0] * 10]
    assert shares("style transfer", SD) == [1, 1, 1, 1, *[0] * 5, *[1] * 7]


def test_weights_ease_over_the_layers():
    assert shares("ease in", SD)[::8] == [1.0, 0.525]
    assert shares("ease out", SD)[::8] == [0.05, 0.525]
    assert shares("ease in-out", SD)[::4] == [0.05, 0.525, 1.0, 0.525]
    assert shares("reverse in-out", SD)[::4] == [1.0, 0.525, 0.05, 0.525]
    assert shares("weak output", XL) == [1] * 5 + [0.2] * 6
    assert shares("strong middle", XL) == [0.2] * 4 + [1] + [0.2] * 6


def test_a_weight_of_one_layer_leaves_the_others_out(models, bench, eyes):
    model, adapter = models["sd15"], ip_adapter_model_loader("plain.safetensors", bench)
    images = picture(1, 16, 16)

    mid = weights_of(model.model, 1.0, SHAPES["weak middle"])
    shown = [
        ask(advanced(model, adapter, images, eyes, weight_type=each), text())
        for each in ("linear", "weak middle", "composition", "original")
    ]

    assert mid.tolist() == pytest.approx([1.0] * 96 + [0.2] * 64)
    assert torch.equal(shown[0], shown[3])
    assert not torch.allclose(shown[0], shown[1], atol=1e-5)
    assert torch.equal(shown[2], ask(model, text()))


@pytest.mark.parametrize("scaling", ["K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"])
def test_keys_are_weighed_too_where_asked(models, bench, eyes, scaling):
    model, adapter = models["sd15"], ip_adapter_model_loader("plus.safetensors", bench)
    images = picture(1, 16, 16)

    made = advanced(model, adapter, images, eyes, weight=0.6, embeds_scaling=scaling)

    plain = advanced(model, adapter, images, eyes, weight=0.6)
    assert not torch.allclose(ask(made, text()), ask(plain, text()), atol=1e-5)
    nothing = advanced(model, adapter, images, eyes, weight=0.0, embeds_scaling=scaling)
    assert torch.equal(ask(nothing, text()), ask(model, text()))


@pytest.mark.parametrize("name", ["plain", "plus"])
def test_two_equal_images_average_to_one(models, bench, eyes, name):
    model, adapter = models["sd15"], ip_adapter_model_loader(f"{name}.safetensors", bench)
    one = picture(1, 16, 16)

    twice = advanced(model, adapter, one.repeat(2, 1, 1, 1), eyes, combine_embeds="average")
    added = advanced(model, adapter, one.repeat(2, 1, 1, 1), eyes, combine_embeds="add")
    less = advanced(model, adapter, one.repeat(2, 1, 1, 1), eyes, combine_embeds="subtract")

    expected = ask(advanced(model, adapter, one, eyes), text())
    torch.testing.assert_close(ask(twice, text()), expected, rtol=1e-4, atol=1e-4)
    for other in (added, less):
        assert not torch.allclose(ask(other, text()), expected, atol=1e-4)


def test_what_to_avoid_is_read_by_the_negative_branch(models, bench, eyes):
    model, adapter = models["sd15"], ip_adapter_model_loader("plus.safetensors", bench)
    images, avoided = picture(1, 16, 16), 1 - picture(1, 16, 16)

    plain = ask(advanced(model, adapter, images, eyes), text(), text())
    other = ask(advanced(model, adapter, images, eyes, image_negative=avoided), text(), text())

    assert torch.equal(plain[:1], other[:1])
    assert not torch.allclose(plain[1:], other[1:], atol=1e-4)


@pytest.mark.parametrize(
    ("position", "first"),
    [("left", 0.0), ("right", 1.0), ("center", 0.5), ("top", 0.5), ("bottom", 0.5)],
)
def test_a_square_is_cut_for_the_vision_encoder(bench, position, first):
    images = torch.cat([torch.full((1, 60, 60, 3), k / 2) for k in range(3)], dim=2)

    made = prep_image_for_clip_vision(
        image=images, interpolation="BOX", crop_position=position, ctx=bench
    )

    assert made.shape == (1, 224, 224, 3)
    assert made.mean().item() == pytest.approx(first, abs=0.01)


def test_padding_keeps_all_and_sharpening_raises_contrast(bench):
    images = picture(1, 112, 224)
    images[:, :, ::2] *= 0.9
    given: Any = {"image": images, "interpolation": "NEAREST", "crop_position": "pad", "ctx": bench}

    padded = prep_image_for_clip_vision(**given)
    sharp = prep_image_for_clip_vision(**given, sharpening=0.5)

    assert padded[:, :56].max() == padded[:, 168:].max() == 0
    assert (padded[:, 56:168] - images).abs().max() < 1 / 255
    assert (sharp[:, 60:160].diff(dim=2).abs().mean()) > padded[:, 60:160].diff(dim=2).abs().mean()
    flat = torch.full((1, 64, 64, 3), 0.4)
    same = prep_image_for_clip_vision(
        **(given | {"image": flat, "crop_position": "top"}), sharpening=1.0
    )
    assert same.std().item() == pytest.approx(0.0, abs=1e-5)


def test_pictures_are_scaled_as_pillow_does(bench):
    images = picture(1, 50, 50)
    as_file = Pictures.fromarray((images[0] * 255).byte().numpy())

    made = prep_image_for_clip_vision(
        image=images, interpolation="LANCZOS", crop_position="center", ctx=bench
    )

    expected = torch.tensor(list(as_file.resize((224, 224), Pictures.Resampling.LANCZOS).tobytes()))
    assert torch.equal((made[0] * 255).round().flatten().long(), expected)
