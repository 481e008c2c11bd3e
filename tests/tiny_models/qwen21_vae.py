"""The autoencoder of Qwen-Image 2.1 with random weights; see `random_weights`."""

from tests.tiny_models.random_weights import Draw, Tensors
from tests.tiny_models.wan_vae import wan_block, wan_conv, wan_gamma, wan_middle

_TIMED = (False, True, True, True)
"""The levels of the encoder, all but the last, that halve the frames of a video."""


def qwen21_vae(draw: Draw, *, width: int = 4, decoder: int = 6, prefix: str = "") -> None:
    """Five levels, with one block each on the way down and two on the way up."""
    factors = (1, 2, 4, 8, 8)
    widths = tuple(width * factor for factor in factors)
    key = f"{prefix}encoder"
    _conv(draw, f"{key}.conv1", 4, widths[0])
    now = widths[0]
    for level, wide in enumerate(widths):
        place = f"{key}.downsamples.{level}.downsamples"
        wan_block(draw, f"{place}.0", now, wide, frames=1)
        if level < len(_TIMED):
            draw.conv(f"{place}.1.resample.1", wide, wide, 3)
            if _TIMED[level]:
                wan_conv(draw, f"{place}.1.time_conv", wide, wide, (1, 1, 1))
        now = wide
    wan_middle(draw, f"{key}.middle", now, frames=1)
    wan_gamma(draw, f"{key}.head.0", now)
    _conv(draw, f"{key}.head.2", now, 128)
    wan_conv(draw, f"{prefix}conv1", 128, 128, (1, 1, 1))
    wan_conv(draw, f"{prefix}conv2", 64, 64, (1, 1, 1))
    _decoder(draw, f"{prefix}decoder", tuple(decoder * factor for factor in factors[::-1]))


def _decoder(draw: Draw, key: str, widths: tuple[int, ...]) -> None:
    _conv(draw, f"{key}.conv1", 64, widths[0])
    wan_middle(draw, f"{key}.middle", widths[0], frames=1)
    now = widths[0]
    for level, wide in enumerate(widths):
        place = f"{key}.upsamples.{level}.upsamples"
        wan_block(draw, f"{place}.0", now, wide, frames=1)
        wan_block(draw, f"{place}.1", wide, wide, frames=1)
        if level < len(_TIMED):
            draw.conv(f"{place}.2.resample.1", wide, wide, 3)
            if _TIMED[::-1][level]:
                wan_conv(draw, f"{place}.2.time_conv", wide, 2 * wide, (1, 1, 1))
        now = wide
    wan_gamma(draw, f"{key}.head.0", now)
    _conv(draw, f"{key}.head.2", now, 4)


def small_qwen21_vae() -> Tensors:
    """One of 64 channels, in a file of its own."""
    draw = Draw(17)
    qwen21_vae(draw)
    return draw.tensors


def _conv(draw: Draw, key: str, inputs: int, outputs: int) -> None:
    wan_conv(draw, key, inputs, outputs, (1, 3, 3))
