"""The three networks: Stable Diffusion 1.5's architecture, some 220 times smaller."""

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

LATENT_SCALE = 0.18215  # what SD 1.5 multiplies latents by
LATENT_STD = 0.4  # of the scaled latents, see train_vae.normalise
TEXT_TOKENS = 32

VAE_CONFIG = {
    "sample_size": 64,
    "block_out_channels": (16, 32, 48, 64),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
UNET_CONFIG = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (48, 80, 96),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "attention_head_dim": 4,  # heads, as in SD 1.5
    "cross_attention_dim": 64,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}


def new_vae() -> AutoencoderKL:
    """A KL autoencoder: 64x64 pixels to 8x8 latents of 4 channels; 0.86 M parameters."""
    return AutoencoderKL(**VAE_CONFIG, scaling_factor=LATENT_SCALE)


def new_unet() -> UNet2DConditionModel:
    """The denoiser, 8x8 latents conditioned on text; 2.9 M parameters."""
    return UNet2DConditionModel(**UNET_CONFIG)


def text_config(vocabulary: int) -> CLIPTextConfig:
    """CLIP's text model, two layers of 64 channels; bos and eos are the last two tokens."""
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TEXT_TOKENS,
        hidden_act="quick_gelu",
        projection_dim=64,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


def new_text_encoder(vocabulary: int) -> CLIPTextModel:
    """The text encoder; 0.14 M parameters."""
    return CLIPTextModel(text_config(vocabulary))


def parameters(model: nn.Module) -> int:
    """Return the number of parameters of a network."""
    return sum(weight.numel() for weight in model.parameters())
