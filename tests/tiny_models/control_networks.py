"""Networks that steer others, with random weights in the original layouts; see `random_weights`."""

from collections.abc import Mapping

from torch import Tensor

from tests.tiny_models.random_weights import Draw, Levels, unet_encoder
from tests.tiny_models.transformer_networks import flux, qwen_image, split_block

_HINT = (3, 16, 16, 32, 32, 96, 96, 256)
"""How wide each convolution's input is that brings a picture to the latent's size."""


def controlnet(draw: Draw, plan: Levels, prefix: str = "control_model.") -> None:
    """A ControlNet for a U-Net of that plan."""
    skips = unet_encoder(draw, plan, prefix)
    for number, inputs in enumerate(_HINT):
        outputs = (*_HINT[1:], plan.width)[number]
        draw.conv(f"{prefix}input_hint_block.{2 * number}", inputs, outputs, 3)
    for number, width in enumerate(skips):
        draw.conv(f"{prefix}zero_convs.{number}.0", width, width, 1, gain=0.5)
    draw.conv(f"{prefix}middle_block_out.0", skips[-1], skips[-1], 1, gain=0.5)


def control_lora(draw: Draw, plan: Levels, rank: int = 4) -> None:
    """Stability's layout: a ControlNet whose matrices are two factors of a change each."""
    controlnet(draw, plan, "")
    kept = ("input_hint_block.", "zero_convs.", "middle_block_out.")
    for key, tensor in list(draw.tensors.items()):
        if tensor.ndim < 2 or key.startswith(kept):
            continue
        del draw.tensors[key]
        stem, ones = key.removesuffix("weight"), [1] * (tensor.ndim - 2)
        draw.weight(f"{stem}down", rank, *tensor.shape[1:])
        draw.put(f"{stem}up", (tensor.shape[0], rank, *ones), 0.3)
    draw.put("lora_controlnet", (1,), 0.0)


def adapter(draw: Draw, widths: tuple[int, ...], *, channels: int = 3, factor: int = 8) -> None:
    """A full T2I-Adapter, two blocks a level."""
    draw.conv("conv_in", channels * factor**2, widths[0], 3)
    for level, width in enumerate(widths):
        before = widths[max(level - 1, 0)]
        if before != width:
            draw.conv(f"body.{2 * level}.in_conv", before, width, 1)
        for block in (2 * level, 2 * level + 1):
            draw.conv(f"body.{block}.block1", width, width, 3)
            draw.conv(f"body.{block}.block2", width, width, 1)


def light_adapter(draw: Draw, widths: tuple[int, ...]) -> None:
    """A light T2I-Adapter, four blocks a level."""
    for level, width in enumerate(widths):
        before, inner = (192, *widths)[level], width // 4
        draw.conv(f"body.{level}.in_conv", before, inner, 1)
        for block in range(4):
            draw.conv(f"body.{level}.body.{block}.block1", inner, inner, 3)
            draw.conv(f"body.{level}.body.{block}.block2", inner, inner, 3)
        draw.conv(f"body.{level}.out_conv", inner, width, 1)


def textless_controlnet(draw: Draw, *, width: int, pooled: int, blocks: int) -> None:
    """Stability's layout for SD3.5 large."""
    draw.conv("pos_embed_input.proj", 16, width, 2)
    for name, inputs in (("timestep_embedder", 256), ("text_embedder", pooled)):
        draw.linear(f"time_text_embed.{name}.linear_1", inputs, width)
        draw.linear(f"time_text_embed.{name}.linear_2", width, width)
    for block in range(blocks):
        key = f"transformer_blocks.{block}"
        draw.linear(f"{key}.adaLN_modulation.1", width, 6 * width, gain=0.5)
        draw.linear(f"{key}.attn.qkv", width, 3 * width)
        draw.linear(f"{key}.attn.proj", width, width)
        draw.linear(f"{key}.mlp.fc1", width, 4 * width)
        draw.linear(f"{key}.mlp.fc2", 4 * width, width)
        draw.linear(f"controlnet_blocks.{block}", width, width)


def xlabs_controlnet(draw: Draw, *, width: int, head: int, text: int, blocks: int) -> None:
    """XLabs' layout for FLUX.1: double blocks, and convolutions for the picture."""
    flux(draw, width=width, head=head, text=text, pooled=text, double=blocks, prefix="")
    for key in [key for key in draw.tensors if key.startswith(("single_blocks.", "final_layer."))]:
        del draw.tensors[key]
    draw.linear("pos_embed_input", 64, width)
    for number, inputs in enumerate((3, *[16] * 7)):
        draw.conv(f"input_hint_block.{2 * number}", inputs, 16, 3)
    for block in range(blocks):
        draw.linear(f"controlnet_blocks.{block}", width, width)


def like(draw: Draw, state: Mapping[str, Tensor]) -> None:
    """Tensors of the names and shapes of a network's own, for files in its layout."""
    for key, tensor in state.items():
        if tensor.ndim > 1:
            draw.weight(key, *tensor.shape)
        else:
            draw.put(key, tuple(tensor.shape), 0.05, 1.0 if "norm" in key else 0.0)


def gligen(draw: Draw, *, text: int, places: Mapping[str, int]) -> None:
    """GLIGEN's layers in the original layout; `places` has the width of each attention."""
    draw.put("position_net.null_positive_feature", (text,), 1.0)
    draw.put("position_net.null_position_feature", (64,), 1.0)
    for number, (inputs, outputs) in enumerate(((text + 64, 512), (512, 512), (512, text))):
        draw.linear(f"position_net.linears.{2 * number}", inputs, outputs)
    for place, width in places.items():
        key = f"{place}.transformer_blocks.0.fuser"
        draw.linear(f"{key}.linear", text, width)
        for name in ("to_q", "to_k", "to_v"):
            draw.linear(f"{key}.attn.{name}", width, width, bias=False)
        draw.linear(f"{key}.attn.to_out.0", width, width)
        draw.linear(f"{key}.ff.net.0.proj", width, width * 8)
        draw.linear(f"{key}.ff.net.2", width * 4, width)
        draw.norm(f"{key}.norm1", width)
        draw.norm(f"{key}.norm2", width)
        draw.put(f"{key}.alpha_attn", (), 0.1, 0.7)
        draw.put(f"{key}.alpha_dense", (), 0.1, 0.7)


def z_image_control(
    draw: Draw, *, channels: int = 16, steers: bool = False, trained: bool = True
) -> None:
    """A ControlNet for the tiny Z-Image: two blocks, and one for the picture's own.

    Args:
        draw: where the tensors go.
        channels: of the hint, 33 in version 2.
        steers: the picture's own block steers, as in version 2.
        trained: it has learned to, as in version 2.1.
    """
    width = 64
    draw.linear("control_all_x_embedder.2-1", 4 * channels, width)
    for key in ("control_layers.0", "control_layers.1", "control_noise_refiner.0"):
        split_block(draw, key, width, 16)
        if key.startswith("control_layers") or steers:
            if key.endswith(".0"):
                draw.linear(f"{key}.before_proj", width, width)
            draw.linear(f"{key}.after_proj", width, width)
    if steers and not trained:
        for leaf in ("weight", "bias"):
            name = f"control_noise_refiner.0.after_proj.{leaf}"
            draw.tensors[name] = draw.tensors[name] * 0


def hypernetwork(draw: Draw, widths: tuple[int, ...]) -> None:
    """A hypernetwork in the layout that a converted file has: two layers and their norms."""
    for start in (f"{width}.{part}.linear" for width in widths for part in (0, 1)):
        width = int(start.partition(".")[0])
        for number, (inputs, outputs) in enumerate(((width, 2 * width), (2 * width, width))):
            draw.linear(f"{start}.{2 * number}", inputs, outputs)
            draw.norm(f"{start}.{2 * number + 1}", outputs)


def qwen_image_controlnet(draw: Draw, *, text: int, width: int = 64, extra: int = 0) -> None:
    """InstantX's for Qwen-Image, with two blocks and `extra` channels of a mask."""
    qwen_image(draw, width=width, text=text)
    for key in [key for key in draw.tensors if key.startswith(("norm_out", "proj_out"))]:
        del draw.tensors[key]
    for block in range(2):
        draw.linear(f"controlnet_blocks.{block}", width, width, gain=0.5)
    draw.linear("controlnet_x_embedder", 64 + extra, width)


def qwen_image_blockwise(
    draw: Draw, *, width: int = 64, blocks: int = 2, channels: int = 16
) -> None:
    """DiffSynth-Studio's for Qwen-Image; `channels` are 17 for inpainting."""
    draw.linear("img_in", 4 * channels, width)
    for block in range(blocks):
        key = f"controlnet_blocks.{block}"
        for name in ("x_rms", "y_rms"):
            draw.scale(f"{key}.{name}.weight", width)
        for name in ("input_proj", "output_proj"):
            draw.linear(f"{key}.{name}", width, width)
