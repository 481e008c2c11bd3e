"""Pictures in prompts: what a language model with a vision encoder makes of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PILImage
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.model.text_encoders import clip_loader
from nodes.imaging.errors import SizeLimitError
from nodes.models.export.checkpoint import encoder_tensors
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.families.base.language_records import QWEN2_5_VL, QWEN3_VL
from nodes.models.families.base.language_vision import (
    QWEN2_5_VISION,
    QWEN3_VISION,
    vision_config,
)
from nodes.models.families.base.spec import TextRules
from nodes.models.loading.errors import BlindEncoderError, ChatlessEncoderError
from nodes.models.loading.handles import ClipHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.networks.base.errors import UnplacedPictureError
from nodes.models.networks.components.language_model import LanguageModelText
from nodes.models.networks.components.language_model import network_of as language_network
from nodes.models.networks.components.language_vision import fitting_size, network_of, prepare, see
from nodes.models.text.chunks import Token
from nodes.models.text.encode import encode
from nodes.models.weights.header import Header, TensorInfo
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import in_float32
from tests.tiny_models.checkpoints import small_clip, write
from tests.tiny_models.compare import NO_WORDS
from tests.tiny_models.language_models import (
    BYTES,
    SEEING,
    qwen2_5_vision,
    qwen3_vision,
    small_qwen2_5_vl,
)
from tests.tiny_models.quantized_files import scaled
from tests.tiny_models.random_weights import Draw

PAD = 90
"""The token of pictures in the tiny vocabulary."""
PLACE = "<|vision_start|><|image_pad|><|vision_end|>"
FILE = "qwen_2.5_vl_7b_fp8_scaled.safetensors"
WORDS: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
}
"""The tiny language model that reads what is seen."""


def seeing(record, draw):
    """Return our networks and the tiny vision encoder's configuration."""
    draw(made := Draw(21), width=32)
    tensors = in_float32(made.tensors)
    infos = {key: TensorInfo("F32", tuple(each.shape)) for key, each in tensors.items()}
    config = vision_config(Header(Path("a"), infos, SEEING), "visual.", record, "a")
    assert config is not None
    vision = network_of(record).builder()(dict(config)).eval().requires_grad_(False)
    vision.load_state_dict({key.removeprefix("visual."): each for key, each in tensors.items()})
    return vision, config


def whole(record, vision, config):
    """Return transformers' whole model, with the same weights as our two networks."""
    older = record is QWEN2_5_VISION
    make: Any = Qwen2_5_VLConfig if older else Qwen3VLConfig
    made = make(text_config=WORDS, vision_config=config, image_token_id=PAD)
    torch.manual_seed(3)
    model: Any = (Qwen2_5_VLModel if older else Qwen3VLModel)(made).eval().requires_grad_(False)
    model.visual.load_state_dict(vision.state_dict())
    return model


def language(model, record):
    own = QWEN2_5_VL if record is QWEN2_5_VISION else QWEN3_VL
    network = language_network(own).builder()(WORDS).eval().requires_grad_(False)
    network.load_state_dict(model.language_model.state_dict())
    return LanguageModelText(own, network)


@pytest.mark.parametrize(
    ("record", "draw"), [(QWEN2_5_VISION, qwen2_5_vision), (QWEN3_VISION, qwen3_vision)]
)
def test_pictures_between_words_are_read_as_transformers_whole_models_do(record, draw):
    vision, config = seeing(record, draw)
    model = whole(record, vision, config)
    step = config["patch_size"] * 2
    sizes = ((2 * step, 4 * step), (9 * step, step))
    pictures = [
        prepare(replace(record, pixels=(0, 10**6)), torch.rand(*size, 3), config) for size in sizes
    ]
    first, second = ([Token(PAD, picture=each)] * each.tokens for each in pictures)
    row = [Token(1), Token(2), *first, Token(3), *second, Token(4), Token(5)]

    (ours,) = encode(
        language(model, record),
        [[row]],
        TextRules(length=None, start=None, end=None, pad=0),
        [1, 3],
        {each: see(vision, each) for each in pictures},
    )

    ids = torch.tensor([[token.id for token in row]])
    theirs = model(
        input_ids=ids,
        mm_token_type_ids=(ids == PAD).int(),
        pixel_values=torch.cat([each.pixels for each in pictures]),
        image_grid_thw=torch.tensor([[1, 2 * each.rows, 2 * each.columns] for each in pictures]),
        output_hidden_states=True,
    )
    assert ours.tokens.shape == (1, len(row), 64)
    norm = model.language_model.norm
    expected = torch.cat([norm(theirs.hidden_states[1]), theirs.last_hidden_state], dim=-1)
    torch.testing.assert_close(ours.tokens, expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    folder = bench.root / "models/text_encoders"
    tensors = small_qwen2_5_vl()
    write(folder / FILE, tensors, SEEING)
    blind = {key: each for key, each in tensors.items() if not key.startswith("visual.")}
    write(folder / "blind.safetensors", blind, BYTES)
    newer = {key.replace("model.", "model.language_model."): tensors[key] for key in blind}
    newer |= {f"model.{key}": tensors[key] for key in tensors.keys() - blind.keys()}
    write(folder / "newer.safetensors", newer, SEEING)
    write(folder / "clip_l.safetensors", small_clip())
    return bench


def opened(bench, name=FILE, kind="qwen_image"):
    return clip_loader(name, kind, ctx=bench).with_chat("<|im_start|>{}<|im_end|>", 2)


def picture(height=56, width=84):
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(height))


def encoded(clip, *pictures, text="a cat"):
    return clip.encode(PLACE * len(pictures) + text, NO_WORDS, pictures).tokens


def test_a_picture_is_read_in_the_place_of_its_token(bench):
    clip = opened(bench)

    both = encoded(clip, picture(), picture(28, 280))
    swapped = encoded(clip, picture(28, 280), picture())

    tokens = 2 * 3 + 1 * 10
    assert both.shape == (1, len("a cat") + tokens + 4 + 1 - 1, 3584)
    assert not torch.allclose(both, swapped, atol=1e-3)
    assert torch.equal(encoded(clip), clip.encode("a cat", NO_WORDS).tokens)


def test_the_vision_encoder_is_loaded_for_pictures_alone(bench):
    clip = opened(bench)
    (encoder,) = clip.text.encoders
    assert encoder.vision is not None

    encoded(clip)
    assert encoder.network.held_bytes > 0
    assert encoder.vision.held_bytes == 0

    encoded(clip, picture())
    assert encoder.vision.held_bytes > 0
    assert encoder.weight_bytes() >= encoder.network.nbytes() + encoder.vision.nbytes()


def test_other_layouts_see_the_same(bench):
    assert torch.equal(
        encoded(opened(bench, "newer.safetensors"), picture()), encoded(opened(bench), picture())
    )


def test_prompts_with_and_without_pictures_share_a_pass(bench):
    clip = opened(bench)
    text = clip.text
    texts = ("a cat", "a dog that is longer than the other")
    prompts = [
        text.chunks({"": PLACE + texts[0]}, NO_WORDS, [picture()]),
        text.chunks({"": texts[1]}, NO_WORDS),
        text.chunks({"": PLACE + texts[0]}, NO_WORDS, [picture(112, 28 * 2)]),
    ]

    together = text.encode_chunks(prompts, {}, None)

    for prompt, found in zip(prompts, together, strict=True):
        (alone,) = text.encode_chunks([prompt], {}, None)
        torch.testing.assert_close(found.tokens, alone.tokens, rtol=0, atol=1e-4)


def test_a_saved_encoder_still_sees(bench):
    for name in (FILE, "newer.safetensors"):
        ((_, tensors),) = encoder_tensors(opened(bench, name))

        before = small_qwen2_5_vl()
        eyes = {key for key in before if key.startswith("visual.")}
        assert len(eyes) > 20
        assert all(torch.equal(tensors[key], before[key]) for key in eyes)


def test_what_can_not_be_seen_is_told(bench):
    blind, clip = opened(bench, "blind.safetensors"), opened(bench)

    assert torch.equal(encoded(blind), encoded(clip))
    with pytest.raises(BlindEncoderError, match=r"qwen2_5_vl_7b of 'blind.safetensors' sees no"):
        encoded(blind, picture())
    with pytest.raises(UnplacedPictureError, match="2 pictures for a prompt with 1 places"):
        clip.encode(PLACE, NO_WORDS, [picture(), picture()])
    with pytest.raises(SizeLimitError, match="5600x8 pixels is too narrow"):
        encoded(clip, picture(8, 5600))
    with pytest.raises(
        ChatlessEncoderError, match=r"clip_l of 'clip_l.safetensors' is no language"
    ):
        opened(bench, "clip_l.safetensors", "stable_diffusion")


@pytest.mark.parametrize(
    "size", [(56, 84), (384, 384), (50, 70), (1, 1), (10, 1900), (4000, 3500), (63, 98)]
)
def test_pictures_are_resized_as_transformers_does(size: tuple[int, int]):
    least, most = QWEN2_5_VISION.pixels

    height, width = size
    for step, low, high in ((28, least, most), (32, 4096, 10**5)):
        expected = smart_resize(height, width, step, low, high)
        assert fitting_size(height, width, step, (low, high)) == expected


@pytest.mark.parametrize("size", [(56, 112), (70, 100)])
def test_patches_are_those_of_transformers(size):
    pixels = picture(*size)
    theirs = Qwen2VLImageProcessorPil(size={"shortest_edge": 3136, "longest_edge": 12845056})
    image = PILImage.fromarray((pixels * 255).round().byte().numpy())
    expected = theirs(images=[image], return_tensors="pt")
    config = {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}

    found = prepare(QWEN2_5_VISION, torch.cat([pixels, pixels[..., :1]], dim=-1), config)

    (grid,) = expected["image_grid_thw"].tolist()
    assert grid == [1, 2 * found.rows, 2 * found.columns]
    torch.testing.assert_close(found.pixels, expected["pixel_values"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("record", "width", "inner", "blocks", "out"),
    [
        (QWEN2_5_VISION, 1280, 3420, 32, 3584),
        (QWEN3_VISION, 1024, 4096, 24, 2560),
        (QWEN3_VISION, 1152, 4304, 27, 4096),
    ],
)
def test_the_published_sizes_are_read_from_shapes(record, width, inner, blocks, out):
    patch = 14 if record is QWEN2_5_VISION else 16
    shapes = {
        "patch_embed.proj.weight": (width, 3, 2, patch, patch),
        "pos_embed.weight": (2304, width),
        record.mark: (inner, width),
        record.merger[0]: (4 * width, 4 * width),
        record.merger[1]: (out, 4 * width),
        **{f"blocks.{n}.attn.qkv.weight": (3 * width, width) for n in range(blocks)},
    }
    infos = {f"visual.{key}": TensorInfo("BF16", shape) for key, shape in shapes.items()}

    config = vision_config(Header(Path("a"), infos, {}), "visual.", record, "a")

    made: Any = network_of(record).builder()
    assert config is not None
    assert (config["depth"], config["num_heads"], config["patch_size"]) == (blocks, 16, patch)
    assert (config["hidden_size"], config["intermediate_size"]) == (width, inner)
    assert (config["spatial_merge_size"], config["out_hidden_size"]) == (2, out)
    deep = {24: [5, 11, 17], 27: [8, 16, 24]}.get(blocks)
    assert config.get("deepstack_visual_indexes") == deep
    with torch.device("meta"):
        network = made(config | {"depth": 1})
    keys = network.state_dict()
    assert all(keys[key].shape == shape for key, shape in shapes.items() if key in keys)


def test_the_sizes_of_a_folder_are_in_its_configuration():
    nested = {"qwen2_5_vl_7b": {"vision_config": {"num_heads": 4, "depth": 7}}}
    tensors = {key: TensorInfo("F16", tuple(t.shape)) for key, t in small_qwen2_5_vl().items()}
    header = Header(Path("a"), tensors, {"config": json.dumps(nested)})

    config = vision_config(header, "visual.", QWEN2_5_VISION, "qwen2_5_vl_7b")

    assert config is not None
    assert (config["num_heads"], config["depth"], config["window_size"]) == (4, 2, 112)


def test_deep_layers_of_an_unknown_size_are_not_guessed():
    qwen3_vision(draw := Draw(1), width=32)
    infos = {key: TensorInfo("F16", tuple(t.shape)) for key, t in draw.tensors.items()}

    with pytest.raises(MissingWeightsError, match=r"deepstack_visual_indexes.*for 3 blocks"):
        vision_config(Header(Path("a"), infos, {}), "visual.", QWEN3_VISION, "a")


def test_a_quantised_vision_encoder_sees_nearly_the_same(bench, tmp_path):
    small, plain = scaled(small_qwen2_5_vl())
    narrow = write(tmp_path / "fp8.safetensors", small, SEEING)
    wide = write(tmp_path / "plain.safetensors", plain, SEEING)

    found, expected = (
        encoded(
            ClipHandle(open_text_files([(path, path.name)], "qwen_image", ModelPool())), picture()
        )
        for path in (narrow, wide)
    )

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
