"""Vision encoders: recognised in every layout, and seeing what transformers' own classes see."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipVisionModel

from nodes.builtin.conditioning.clip_vision import clip_vision_encode, clip_vision_loader
from nodes.models.families.adapters.vision import vision_spec
from nodes.models.families.base.errors import MissingWeightsError, UnrecognisedFileError
from nodes.models.networks.components.vision import prepare_pixels
from nodes.preflight.models import vision_encoder as preflight
from tests.nodes.bench import Bench
from tests.nodes.models.test_families import header_of
from tests.nodes.pictures import picture
from tests.tiny_models.checkpoints import write
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.vision_encoders import open_vision, siglip, vision

SIZE = 16


def loaded(root, build, **sizes):
    draw = Draw(90)
    build(draw, **sizes)
    write(root / "models" / "clip_vision" / "eyes.safetensors", draw.tensors)
    return clip_vision_loader("eyes.safetensors", Bench(root)), draw.tensors


def empty(shapes):
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def floats(tensors):
    return {key: tensor.float() for key, tensor in tensors.items()}


def clip_oracle(tensors, act="quick_gelu", layers=3, width=128):
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        image_size=SIZE,
        patch_size=4,
        projection_dim=64,
        hidden_act=act,
    )
    model = CLIPVisionModelWithProjection(config).eval()
    model.load_state_dict(floats(tensors))
    return model


def test_clip_sees_what_transformers_sees(tmp_path):
    eyes, tensors = loaded(tmp_path, vision)
    pictures = picture(2, 24, 40)

    seen = clip_vision_encode(eyes, pictures, "center")

    with torch.no_grad():
        model = clip_oracle(tensors)
        expected = model(prepare_pixels(pictures, SIZE, "clip"), output_hidden_states=True)
    assert seen.embeds is not None
    torch.testing.assert_close(seen.embeds, expected.image_embeds)
    torch.testing.assert_close(seen.last, expected.last_hidden_state)
    torch.testing.assert_close(seen.states[-2], expected.hidden_states[-2])


def test_open_clips_layout_is_the_same_network(tmp_path):
    eyes, stored = loaded(tmp_path / "open", open_vision)
    renamed = {
        "visual_projection.weight": stored["visual.proj"].T.contiguous(),
        "vision_model.embeddings.class_embedding": stored["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": stored["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": stored["visual.positional_embedding"],
    }
    for old, new in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        renamed |= {f"vision_model.{new}.{p}": stored[f"visual.{old}.{p}"] for p in PARTS}
    for layer in range(3):
        renamed |= hf_layer(stored, layer)

    seen = clip_vision_encode(eyes, picture(1, 16, 16), "center")

    with torch.no_grad():
        expected = clip_oracle(renamed)(prepare_pixels(picture(1, 16, 16), SIZE, "clip"))
    torch.testing.assert_close(seen.embeds, expected.image_embeds)


PARTS = ("weight", "bias")


def hf_layer(stored, layer):
    old, new = f"visual.transformer.resblocks.{layer}.", f"vision_model.encoder.layers.{layer}."
    names = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    found = {f"{new}{n}.{p}": stored[f"{old}{o}.{p}"] for o, n in names.items() for p in PARTS}
    for part in PARTS:
        qkv = stored[f"{old}attn.in_proj_{part}"].chunk(3)
        named = zip(("q_proj", "k_proj", "v_proj"), qkv, strict=True)
        found |= {f"{new}self_attn.{name}.{part}": value for name, value in named}
    return found


@pytest.mark.parametrize("head", [True, False])
def test_siglip_sees_what_transformers_sees(tmp_path, head):
    eyes, tensors = loaded(tmp_path, siglip, layers=21, head=head)
    config = SiglipVisionConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=21,
        num_attention_heads=2,
        image_size=SIZE,
        patch_size=4,
        vision_use_head=head,
    )
    model = SiglipVisionModel(config).eval()
    model.load_state_dict(
        {key.removeprefix("vision_model."): value for key, value in floats(tensors).items()}
    )

    seen = clip_vision_encode(eyes, picture(1, 16, 16), "none")

    with torch.no_grad():
        pixels = prepare_pixels(picture(1, 16, 16), SIZE, "siglip", "none")
        expected = model(pixels, output_hidden_states=True)
    torch.testing.assert_close(seen.last, expected.last_hidden_state)
    for layer in (-2, -11, -20):
        torch.testing.assert_close(seen.states[layer], expected.hidden_states[layer])
    if head:
        torch.testing.assert_close(seen.embeds, expected.pooler_output)
    else:
        assert seen.embeds is None


@pytest.mark.parametrize(
    ("width", "heads", "act"),
    [(1024, 16, "quick_gelu"), (1280, 16, "gelu"), (1664, 16, "gelu"), (768, 12, "quick_gelu")],
)
def test_published_sizes_have_their_heads_and_activation(width, heads, act):
    shapes = {
        "visual.conv1.weight": (width, 3, 14, 14),
        "visual.positional_embedding": (257, width),
        "visual.transformer.resblocks.0.mlp.c_fc.weight": (4 * width, width),
        "visual.proj": (width, 768),
    }

    config = vision_spec(header_of(empty(shapes))).config

    assert (config["num_attention_heads"], config["hidden_act"]) == (heads, act)
    assert (config["image_size"], config["projection_dim"]) == (224, 768)


def test_so400m_has_heads_of_72():
    shapes = {
        "vision_model.embeddings.patch_embedding.weight": (1152, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (729, 1152),
        "vision_model.encoder.layers.0.mlp.fc1.weight": (4304, 1152),
    }

    config = vision_spec(header_of(empty(shapes))).config

    assert (config["num_attention_heads"], config["image_size"]) == (16, 384)
    assert config["hidden_act"] == "gelu_pytorch_tanh"


def test_pictures_are_prepared_as_by_transformers():
    pictures = (picture(1, 48, 64) * 255).round() / 255
    as_pil = Image.fromarray((pictures[0] * 255).round().to(torch.uint8).numpy())
    processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=24)

    expected = np.asarray(processor(as_pil, return_tensors="np")["pixel_values"])

    found = prepare_pixels(pictures, 24, "clip").numpy()
    assert np.abs(found - expected).max() <= 1.01 / 255 / 0.26


def test_without_a_crop_the_whole_picture_is_squeezed():
    pictures = torch.zeros(1, 32, 64, 4)
    pictures[:, :, :8] = 1

    whole, middle = (prepare_pixels(pictures, 16, "siglip", crop) for crop in ("none", "center"))

    assert whole[..., 0].min() > 0.9
    assert middle.max() == -1.0


def test_a_file_without_a_vision_encoder_is_refused(tmp_path):
    draw = Draw(1)
    draw.linear("something", 4, 4)
    write(tmp_path / "models" / "clip_vision" / "text.safetensors", draw.tensors)

    with pytest.raises(
        UnrecognisedFileError, match=r"'text\.safetensors' holds no vision encoder .*something"
    ):
        preflight({"clip_name": "text.safetensors"}, Bench(tmp_path).files)


def test_a_vision_encoder_without_layers_is_refused(tmp_path):
    draw = Draw(1)
    vision(draw, layers=0)
    write(tmp_path / "models" / "clip_vision" / "half.safetensors", draw.tensors)

    with pytest.raises(MissingWeightsError, match="layers"):
        preflight({"clip_name": "half.safetensors"}, Bench(tmp_path).files)
