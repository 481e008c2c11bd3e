"""Qwen-Image 2.1 gives what diffusers' pipeline does on the same weights."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_qwen_image21_transformer_checkpoint_to_diffusers,
)
from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel
from diffusers.pipelines.qwenimage21.pipeline_qwenimage21 import QwenImage21Pipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from PIL import Image as PILImage
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLForConditionalGeneration

from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.builtin.model.checkpoints import unet_loader, vae_loader
from nodes.builtin.model.errors import LoraMismatchError
from nodes.builtin.model.lora import lora_loader_model_only
from nodes.builtin.model.qwen_image21 import text_encode_qwen_image21
from nodes.builtin.model.text_encoders import clip_loader
from nodes.models.families.base.language_records import QWEN3_VL
from nodes.models.families.base.spec import FlowRules
from nodes.models.families.denoisers.qwen_image21 import QWEN_IMAGE21
from nodes.models.families.registry import architecture_of
from nodes.models.networks.base.errors import WrongConditioningError
from nodes.models.text.qwen_tokenizer import QWEN3_SPECIAL, qwen3_tokenizer
from nodes.models.weights.header import Header, TensorInfo
from nodes.values import Cond, Conditioning
from tests.nodes.bench import Bench
from tests.nodes.models.family_checks import (
    assert_a_mask_keeps_what_lies_outside,
    assert_close,
    assert_quantised_files_are_close,
    assert_rows_are_independent,
    in_float32,
    merged,
    sampled,
    start_of,
    text_of,
)
from tests.nodes.models.test_qwen21_vae import their_vae
from tests.tiny_models.checkpoints import lora, write
from tests.tiny_models.compare import denoised
from tests.tiny_models.language_models import their_tokenizer
from tests.tiny_models.whole_models import (
    small_qwen3_vl_8b,
    small_qwen_image21,
    tiny_qwen_image21,
)

MODEL = "qwen_image_2.1_bf16.safetensors"
TEXT, VAE = "qwen3vl_8b_int8_convrot.safetensors", "qwen_image_2.1_vae_bf16.safetensors"
WIDTH, SYSTEM = 4096, 14
IMAGE_TOKEN = 256 + QWEN3_SPECIAL.index("<|image_pad|>")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("root"))
    tiny_qwen_image21(bench.root / "models")
    return bench


@pytest.fixture(scope="module")
def pipeline():
    """Diffusers' pipeline on the same weights, the transformer's read by its own converter.

    It drops as many tokens as it would for the real vocabulary.
    """
    transformer = QwenImage21Transformer2DModel(
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        context_in_dim=WIDTH,
        axes_dims_rope=(4, 14, 14),
    )
    weights = convert_qwen_image21_transformer_checkpoint_to_diffusers(small_qwen_image21())
    transformer.load_state_dict(in_float32(weights))
    made = QwenImage21Pipeline(
        FlowMatchEulerDiscreteScheduler(),
        their_vae(),
        their_text(),
        cast("Any", TheirProcessor()),
        transformer.eval(),
    )
    made._drop_idx = SYSTEM
    made.set_progress_bar_config(disable=True)
    return made


class TheirProcessor:
    """Transformers' tokenizer and picture processor, which its own class joins with torchvision."""

    def __init__(self):
        self.tokenizer = their_tokenizer()
        self.pictures = Qwen2VLImageProcessorPil(
            patch_size=16,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            size={"shortest_edge": 65_536, "longest_edge": 16_777_216},
        )

    def apply_chat_template(self, _messages, **_settings):
        return [[0]]

    def __call__(self, text, images=None, **settings):
        seen = self.pictures(images, return_tensors="pt") if images else {}
        for grid in seen.get("image_grid_thw", ()):
            number = int(grid.prod()) // self.pictures.merge_size**2
            text = [each.replace("<|image_pad|>", "<|seen|>" * number, 1) for each in text]
        text = [each.replace("<|seen|>", "<|image_pad|>") for each in text]
        made = self.tokenizer(text, **settings)
        kinds = (made["input_ids"] == IMAGE_TOKEN).int()
        return BatchFeature({**made, **seen, "mm_token_type_ids": kinds})


def their_text():
    sizes: dict[str, Any] = {
        "vocab_size": 288,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_parameters": dict(QWEN3_VL.constants["rope_parameters"]),
    }
    eyes: dict[str, Any] = {
        "depth": 3,
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_heads": 1,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0, 1],
    }
    config = Qwen3VLConfig(
        text_config=sizes,
        vision_config=eyes,
        image_token_id=IMAGE_TOKEN,
        vision_start_token_id=IMAGE_TOKEN - 3,
        vision_end_token_id=IMAGE_TOKEN - 2,
        video_token_id=IMAGE_TOKEN + 1,
    )
    whole = Qwen3VLForConditionalGeneration(config)
    weights = in_float32(small_qwen3_vl_8b())
    for part, root in ((whole.model.language_model, "model."), (whole.model.visual, "visual.")):
        own = {key.removeprefix(root): t for key, t in weights.items() if key.startswith(root)}
        part.load_state_dict(own)
    return whole.eval()


def theirs(pipeline, model, prompt, **settings):
    """The latents of diffusers from the same noise, at the same levels."""
    noise, sigmas = start_of(model)
    found = pipeline(
        prompt=prompt,
        height=128,
        width=96,
        sigmas=sigmas,
        latents=pipeline._pack_latents(noise, 1, 64, 8, 6),
        output_type="latent",
        **settings,
    ).images
    return pipeline._unpack_latents(found, 128, 96, 16)[:, :, 0]


def test_texts_and_latents_are_those_of_the_pipeline(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)
    prompt, other = "a (red:1.3) fox\n in snow", "blurry"

    text, negative = (clip_text_encode(each, clip, bench) for each in (prompt, other))
    plain, guided = (sampled(bench, model, text, negative, cfg) for cfg in (1.0, 3.0))

    expected, mask, _ = pipeline.encode_prompt(prompt)
    assert mask is None
    torch.testing.assert_close(text.conds[0].tokens, expected, rtol=0, atol=1e-4)
    to_model = model.latent_format.to_model
    assert_close(to_model(plain), theirs(pipeline, model, prompt))
    both = theirs(pipeline, model, prompt, negative_prompt=other, true_cfg_scale=3.0)
    assert_close(to_model(guided), both)


def test_the_tokens_of_the_systems_message_are_dropped():
    (policy,) = QWEN_IMAGE21.encoder_sets[0].policies.values()
    message = policy.template.split("<|im_start|>user")[0]

    assert policy.dropped == SYSTEM == len(qwen3_tokenizer().encode(message))


def eight_bits(*shape):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(9)) / 255


def as_pillow(picture):
    return PILImage.fromarray((picture[0] * 255).round().byte().numpy())


def test_reference_images_are_read_as_in_the_pipeline(bench, pipeline):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)
    images = {"image_1": eight_bits(1, 40, 60, 3), "image_2": eight_bits(1, 50, 50, 4)}
    prompt, other = "the fox of <image2>", "blurry"

    made = text_encode_qwen_image21(clip, prompt, other, vae, 320, images=images, ctx=bench)
    found = (sampled(bench, model, made.positive, made.negative, cfg) for cfg in (1.0, 3.0))
    plain, guided = (model.latent_format.to_model(each) for each in found)

    assert made.latent.samples.shape == (1, 64, 16, 24)
    settings = {"image": [as_pillow(each) for each in images.values()], "output_resolution": 320}
    assert_close(plain, theirs(pipeline, model, prompt, **settings))
    settings |= {"negative_prompt": other, "true_cfg_scale": 3.0}
    assert_close(guided, theirs(pipeline, model, prompt, **settings))


LORA = {
    "transformer_blocks.0.attn.to_q": (64, 64),
    "transformer_blocks.1.attn.to_out.0": (64, 64),
    "transformer_blocks.0.img_mlp.gate_layer": (192, 64),
    "transformer_blocks.1.img_mlp.proj": (192, 64),
    "transformer_blocks.1.img_mlp.out": (64, 192),
    "modulation.1": (256, 64),
}


def test_a_lora_has_the_effect_that_it_has_in_diffusers(bench, pipeline):
    model = unet_loader(MODEL, "default", bench)
    clip = clip_loader(TEXT, "qwen_image", ctx=bench)
    tensors = lora(5, LORA)
    write(bench.root / "models/loras/a.safetensors", tensors)
    bench.notices.clear()

    changed = lora_loader_model_only(model, "a.safetensors", bench, 1.0)
    text = clip_text_encode("a fox", clip, bench)
    found, plain = (sampled(bench, each, text, text, 1.0) for each in (changed, model))

    assert not bench.notices
    assert (found - plain).std() / plain.std() > 0.02
    factors = cast("Any", QwenImage21Pipeline).lora_state_dict(dict(tensors))
    with merged(pipeline.transformer, in_float32(factors)):
        expected = theirs(pipeline, model, "a fox")
    assert_close(model.latent_format.to_model(found), expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("transformer_blocks.0.attn.to_q", (64, 64)),
        ("transformer.transformer_blocks.0.attn.to_out.0", (64, 64)),
        ("diffusion_model.transformer_blocks.0.img_mlp.gate_up", (384, 64)),
        ("diffusion_model.transformer_blocks.0.img_mlp.gate_layer", (192, 64)),
        ("base_model.model.transformer_blocks.0.img_mlp.out", (64, 192)),
        ("lora_unet_transformer_blocks_0_attn_to_out_0", (64, 64)),
        ("lycoris_transformer_blocks_0_img_mlp_proj", (192, 64)),
    ],
)
def test_the_names_of_trainers_are_known(bench, name, shape):
    model = unet_loader(MODEL, "default", bench)
    write(bench.root / f"models/loras/{name}.safetensors", lora(7, {name: shape}))
    bench.notices.clear()

    changed = lora_loader_model_only(model, f"{name}.safetensors", bench, 1.0)

    assert not bench.notices
    assert not torch.allclose(denoised(changed), denoised(model), atol=1e-3)


def test_a_lora_of_the_first_qwen_image_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    name = "transformer_blocks.0.img_mlp.net.0.proj"
    write(bench.root / "models/loras/first.safetensors", lora(7, {name: (256, 64)}))

    with pytest.raises(LoraMismatchError, match=r"one for Qwen-Image\."):
        lora_loader_model_only(model, "first.safetensors", bench, 1.0)


def test_any_size_of_latents_is_denoised(bench):
    model = unet_loader(MODEL, "default", bench)

    assert sampled(bench, model, text_of(WIDTH), text_of(WIDTH), 1.0, (7, 5)).shape == (1, 64, 7, 5)


def test_a_text_of_another_family_is_told(bench):
    model = unet_loader(MODEL, "default", bench)
    text = Conditioning((Cond(torch.zeros(1, 5, 768)),))

    with pytest.raises(WrongConditioningError, match=r"768.*4096"):
        sampled(bench, model, text, text, 1.0)


def test_rows_are_independent(bench):
    assert_rows_are_independent(unet_loader(MODEL, "default", bench), WIDTH)


def test_quantised_files_are_close(tmp_path):
    assert_quantised_files_are_close(tmp_path, small_qwen_image21())


def test_a_file_in_diffusers_names_is_the_same_model(bench, pipeline):
    tensors = {key: tensor.half() for key, tensor in pipeline.transformer.state_dict().items()}
    write(bench.root / "models/diffusion_models/own.safetensors", tensors)

    own = unet_loader("own.safetensors", "default", bench)

    torch.testing.assert_close(denoised(own), denoised(unet_loader(MODEL, "default", bench)))


def test_the_published_model_is_read_from_its_shapes():
    width, head = 4096, 128
    shapes = {
        "img_in.weight": (width, 64),
        "txt_in.text_norm.weight": (WIDTH,),
        "proj_out.weight": (64, width),
        "transformer_blocks.0.img_mlp.out.weight": (width, 3 * width),
        **{f"transformer_blocks.{n}.attn.norm_q.weight": (head,) for n in range(32)},
    }
    for prefix in ("", "model.diffusion_model."):
        infos = {prefix + key: TensorInfo("BF16", shape) for key, shape in shapes.items()}

        model = architecture_of(Header(Path("q.safetensors"), infos, {})).model

        assert model.network.config == {
            "in_channels": 64,
            "out_channels": 64,
            "num_layers": 32,
            "attention_head_dim": head,
            "num_attention_heads": 32,
            "context_in_dim": WIDTH,
            "mlp_ratio": 3,
            "axes_dims_rope": [16, 56, 56],
        }
        assert model.noise == FlowRules(mu=0.69, multiplier=1.0)


def test_a_mask_keeps_what_lies_outside(bench):
    model, vae = unet_loader(MODEL, "default", bench), vae_loader(VAE, bench)
    assert_a_mask_keeps_what_lies_outside(bench, model, vae, text_of(WIDTH))
