"""The autoencoder of Qwen-Image and Wan 2.1 with random weights; see `random_weights`."""

from tests.tiny_models.random_weights import Draw, Tensors


def wan_vae(draw: Draw, *, width: int = 8, prefix: str = "", colours: int = 3) -> None:
    """Four levels, with two blocks each on the way down and three on the way up."""
    widths = (width, 2 * width, 4 * width, 4 * width)
    _encoder(draw, f"{prefix}encoder", widths, colours)
    wan_conv(draw, f"{prefix}conv1", 32, 32, (1, 1, 1))
    wan_conv(draw, f"{prefix}conv2", 16, 16, (1, 1, 1))
    _decoder(draw, f"{prefix}decoder", widths[::-1], colours)


def _encoder(draw: Draw, key: str, widths: tuple[int, ...], colours: int) -> None:
    wan_conv(draw, f"{key}.conv1", colours, widths[0], (3, 3, 3))
    now, number = widths[0], 0
    for level, wide in enumerate(widths):
        for _ in range(2):
            wan_block(draw, f"{key}.downsamples.{number}", now, wide)
            now, number = wide, number + 1
        if level < 3:
            draw.conv(f"{key}.downsamples.{number}.resample.1", now, now, 3)
            if level > 0:
                wan_conv(draw, f"{key}.downsamples.{number}.time_conv", now, now, (3, 1, 1))
            number += 1
    wan_middle(draw, f"{key}.middle", now)
    wan_gamma(draw, f"{key}.head.0", now)
    wan_conv(draw, f"{key}.head.2", now, 32, (3, 3, 3))


def _decoder(draw: Draw, key: str, widths: tuple[int, ...], colours: int) -> None:
    wan_conv(draw, f"{key}.conv1", 16, widths[0], (3, 3, 3))
    wan_middle(draw, f"{key}.middle", widths[0])
    now, number = widths[0], 0
    for level, wide in enumerate(widths):
        for _ in range(3):
            wan_block(draw, f"{key}.upsamples.{number}", now, wide)
            now, number = wide, number + 1
        if level < 3:
            draw.conv(f"{key}.upsamples.{number}.resample.1", wide, wide // 2, 3)
            if level < 2:
                wan_conv(draw, f"{key}.upsamples.{number}.time_conv", wide, 2 * wide, (3, 1, 1))
            now, number = wide // 2, number + 1
    wan_gamma(draw, f"{key}.head.0", now)
    wan_conv(draw, f"{key}.head.2", now, colours, (3, 3, 3))


def small_wan_vae(*, prefix: str = "", colours: int = 3) -> Tensors:
    """One of 16 channels, in a file of its own; of 4 colours its pictures have alpha."""
    draw = Draw(14)
    wan_vae(draw, prefix=prefix, colours=colours)
    return draw.tensors


def wan_conv(draw: Draw, key: str, inputs: int, outputs: int, size: tuple[int, int, int]) -> None:
    draw.weight(f"{key}.weight", outputs, inputs, *size)
    draw.put(f"{key}.bias", (outputs,), 0.05)


def wan_gamma(draw: Draw, key: str, width: int, places: int = 3) -> None:
    draw.put(f"{key}.gamma", (width, *[1] * places), 0.1, 1.0)


def wan_block(draw: Draw, key: str, inputs: int, outputs: int, frames: int = 3) -> None:
    wan_gamma(draw, f"{key}.residual.0", inputs)
    wan_conv(draw, f"{key}.residual.2", inputs, outputs, (frames, 3, 3))
    wan_gamma(draw, f"{key}.residual.3", outputs)
    wan_conv(draw, f"{key}.residual.6", outputs, outputs, (frames, 3, 3))
    if inputs != outputs:
        wan_conv(draw, f"{key}.shortcut", inputs, outputs, (1, 1, 1))


def wan_middle(draw: Draw, key: str, width: int, frames: int = 3) -> None:
    wan_block(draw, f"{key}.0", width, width, frames)
    wan_gamma(draw, f"{key}.1.norm", width, 2)
    draw.conv(f"{key}.1.to_qkv", width, 3 * width, 1)
    draw.conv(f"{key}.1.proj", width, width, 1)
    wan_block(draw, f"{key}.2", width, width, frames)
