"""Diffusers' and transformers' networks of Qwen-Image, on the weights of the tiny models."""

from typing import Any, cast

from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.nodes.models.family_checks import in_float32
from tests.tiny_models.language_models import VISION_SIZES, small_qwen2_5_vl, their_tokenizer
from tests.tiny_models.random_weights import Tensors
from tests.tiny_models.wan_vae import small_wan_vae
from tests.tiny_models.whole_models import small_qwen_image

WIDTH = 3584
PICTURE = 268
"""The token of pictures in the tiny vocabulary."""


def their_transformer(weights: Tensors | None = None, **flags: bool) -> QwenImageTransformer2DModel:
    config: Any = {
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 4,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 6, 6),
    }
    transformer = QwenImageTransformer2DModel(**config | flags)
    transformer.load_state_dict(in_float32(weights or small_qwen_image()))
    return transformer.eval()


def their_vae(colours: int = 3) -> AutoencoderKLQwenImage:
    """The VAE, its weights read by diffusers' own converter."""
    vae = AutoencoderKLQwenImage(base_dim=8, input_channels=colours)
    weights = small_wan_vae(colours=colours)
    vae.load_state_dict(in_float32(convert_wan_vae_to_diffusers(weights)))
    return vae.eval()


class Seeing(Qwen2_5_VLForConditionalGeneration):
    """The whole model as it was with transformers 4, which told pictures by their tokens.

    The pipelines do not say since then where they are, so that their tokens get places of text.
    """

    def forward(self, *given: Any, **inputs: Any) -> Any:
        kinds: Any = (inputs["input_ids"] == PICTURE).int()
        return super().forward(*given, mm_token_type_ids=kinds, **inputs)


def their_text() -> Seeing:
    """The whole model with its vision encoder."""
    sizes: dict[str, Any] = {
        "vocab_size": 288,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 28,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [16, 24, 24],
        },
    }
    vision = {
        **VISION_SIZES["qwen2_5_vl_vision"],
        "depth": 2,
        "hidden_size": 8,
        "intermediate_size": 12,
        "out_hidden_size": WIDTH,
    }
    config: Any = Qwen2_5_VLConfig
    whole = Seeing(config(text_config=sizes, vision_config=vision, image_token_id=PICTURE))
    weights = {key.removeprefix("model."): t for key, t in small_qwen2_5_vl().items()}
    weights = {
        key if key.startswith("visual.") else f"language_model.{key}": tensor
        for key, tensor in weights.items()
        if not key.startswith("lm_head")
    }
    whole.model.load_state_dict(in_float32(weights))
    return whole.eval()


class Processor:
    """A prompt's tokens and its pictures' patches; transformers' own needs torchvision."""

    def __init__(self) -> None:
        self.tokenizer = their_tokenizer()
        pixels: Any = {"shortest_edge": 3136, "longest_edge": 12845056}
        self.pictures = Qwen2VLImageProcessorPil(size=pixels)

    def __call__(self, text: list[str], images: Any = None, **options: Any) -> BatchFeature:
        (prompt,), found = text, {}
        if images is not None:
            found = dict(cast("Any", self.pictures)(images=images, return_tensors="pt"))
            for grid in found["image_grid_thw"]:
                tokens = "<|image>" * (int(grid.prod()) // 4)
                prompt = prompt.replace("<|image_pad|>", tokens, 1)
        ids = self.tokenizer([prompt.replace("<|image>", "<|image_pad|>")], **options)
        return BatchFeature({**ids, **found})
