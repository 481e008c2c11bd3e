"""A folder of small models, one file for every kind that workflows load, for whole runs."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.tiny_models.checkpoints import (
    LETTERS,
    SMALL_SD15,
    SMALL_SDXL,
    lora,
    small_controlnet,
    small_flux,
    small_sd3,
    small_sd15,
    small_sdxl,
    small_unclip,
    write,
)
from tests.tiny_models.control_networks import (
    adapter,
    control_lora,
    gligen,
    hypernetwork,
    textless_controlnet,
    xlabs_controlnet,
)
from tests.tiny_models.folders import whole_flux
from tests.tiny_models.quantized_files import scaled, write_gguf
from tests.tiny_models.random_weights import Draw, Tensors
from tests.tiny_models.upscalers import esrgan
from tests.tiny_models.vision_encoders import ip_adapter, redux, vision

_IP_WIDTHS = [32, 32, 32, 64]
_GLIGEN_WIDTHS = {
    "input_blocks.1.1": 32, "middle_block.1": 64, "output_blocks.2.1": 32, "output_blocks.3.1": 32,
}  # fmt: skip
_TO_Q = "transformer_blocks_0_attn1_to_q"
_LORAS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "sd15": {
        f"lora_unet_down_blocks_0_attentions_0_{_TO_Q}": (32, 32),
        "lora_unet_down_blocks_0_resnets_0_conv1": (32, 32, 3, 3),
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj": (64, 64),
    },
    "sdxl": {
        f"lora_unet_input_blocks_3_1_{_TO_Q}": (64, 64),
        "lora_te1_text_model_encoder_layers_0_self_attn_q_proj": (64, 64),
    },
    "sd3": {"lora_unet_joint_blocks_0_x_block_attn_qkv": (384, 128)},
    "flux": {
        "lora_unet_double_blocks_0_img_attn_qkv": (192, 64),
        "lora_unet_single_blocks_1_linear2": (64, 320),
    },
}
"""The weights that each family's LoRA changes, by Kohya's names."""


def _drawn(
    build: Callable[..., None], *given: object, seed: int = 90, **options: object
) -> Tensors:
    draw = Draw(seed)
    build(draw, *given, **options)
    return draw.tensors


_FILES: Mapping[str, Callable[[], Tensors]] = {
    "checkpoints/sd15": small_sd15,
    "checkpoints/sd15_other": partial(small_sd15, 11),
    "checkpoints/sd15_inpaint": partial(small_sd15, 12, channels=9),
    "checkpoints/sdxl": small_sdxl,
    "checkpoints/sd3": partial(small_sd3, text=4096),
    "checkpoints/flux": whole_flux,
    "checkpoints/unclip": small_unclip,
    "diffusion_models/flux_fp8": lambda: scaled(small_flux())[0],
    "clip_vision/eyes": partial(_drawn, vision),
    "controlnet/sd15_edges": partial(small_controlnet, SMALL_SD15),
    "controlnet/sdxl_edges": partial(small_controlnet, SMALL_SDXL),
    "controlnet/sdxl_factors": partial(_drawn, control_lora, SMALL_SDXL, seed=20),
    "controlnet/sd3_edges": partial(_drawn, textless_controlnet, width=128, pooled=128, blocks=1),
    "controlnet/flux_edges": partial(
        _drawn, xlabs_controlnet, width=64, head=32, text=64, blocks=2, seed=21
    ),
    "controlnet/t2i_adapter": partial(_drawn, adapter, (32, 64)),
    "hypernetworks/manner": partial(_drawn, hypernetwork, (32, 64), seed=93),
    "gligen/boxes": partial(_drawn, gligen, text=64, places=_GLIGEN_WIDTHS, seed=19),
    "ipadapter/plain": partial(_drawn, ip_adapter, "plain", 64, 64, _IP_WIDTHS, seed=92),
    "ipadapter/plus": partial(_drawn, ip_adapter, "plus", 128, 64, _IP_WIDTHS, seed=92),
    "style_models/redux": partial(_drawn, redux, 128, 64, seed=91),
    "upscale_models/esrgan": esrgan,
    **{f"loras/{name}_lora": partial(lora, 31, targets) for name, targets in _LORAS.items()},
    "loras/sd15_second": partial(lora, 32, _LORAS["sd15"]),
}
"""How each file is drawn, by its folder and name."""
_GGUF = "diffusion_models/flux_q4.gguf"


def write_models(models: Path, text: str) -> None:
    """Write each file whose name a text has, such as a workflow's, into a folder of models."""
    for name, build in _FILES.items():
        path = models / f"{name}.safetensors"
        if f'"{path.name}"' in text and not path.exists():
            write(path, build(), LETTERS)
    path = models / _GGUF
    if f'"{path.name}"' in text and not path.exists():
        write_gguf(path, small_flux(), "Q4_0")
