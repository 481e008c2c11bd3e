"""Upscale models with random weights, under each of the names that there are for them."""

import torch

from tests.tiny_models.random_weights import Draw, Tensors


def esrgan(
    seed: int = 60,
    *,
    width: int = 8,
    growth: int = 4,
    blocks: int = 2,
    doublings: int = 2,
    unshuffle: int = 1,
) -> Tensors:
    """An ESRGAN under Real-ESRGAN's names."""
    draw = Draw(seed, torch.float32)
    draw.conv("conv_first", 3 * unshuffle**2, width, 3)
    for block in range(blocks):
        for dense in (1, 2, 3):
            for conv in range(5):
                made = growth if conv < 4 else width
                key = f"body.{block}.rdb{dense}.conv{conv + 1}"
                draw.conv(key, width + conv * growth, made, 3)
    ups = [f"conv_up{number + 1}" for number in range(doublings)]
    for key in ("conv_body", *ups, "conv_hr"):
        draw.conv(key, width, width, 3)
    draw.conv("conv_last", width, 3, 3, gain=0.3)
    return draw.tensors


def named(tensors: Tensors) -> Tensors:
    """The same under the names of ESRGAN's own code."""
    changes = (("body.", "RRDB_trunk."), ("conv_body", "trunk_conv"), ("conv_up", "upconv"))
    renamed: Tensors = {}
    for key, tensor in tensors.items():
        name = key.replace("rdb", "RDB").replace("conv_hr", "HRconv")
        for now, then in changes:
            name = name.replace(now, then) if name.startswith(now) else name
        renamed[name] = tensor
    return renamed


def numbered(tensors: Tensors) -> Tensors:
    """The same under the numbers of its first release."""
    blocks = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("body."))
    doublings = sum(key.startswith("conv_up") for key in tensors) // 2
    places = {"conv_first": "0", "conv_body": f"1.sub.{blocks}"}
    places |= {f"conv_up{number}": str(3 * number) for number in range(1, doublings + 1)}
    places |= {"conv_hr": str(3 * doublings + 2), "conv_last": str(3 * doublings + 4)}
    renamed: Tensors = {}
    for key, tensor in tensors.items():
        part, parameter = key.rsplit(".", 1)
        if part in places:
            renamed[f"model.{places[part]}.{parameter}"] = tensor
        else:
            inner = part.removeprefix("body.").replace("rdb", "RDB")
            renamed[f"model.1.sub.{inner}.0.{parameter}"] = tensor
    return renamed


def compact(seed: int = 61, *, width: int = 8, convolutions: int = 3, scale: int = 4) -> Tensors:
    """One of Real-ESRGAN's compact ones."""
    draw = Draw(seed, torch.float32)
    draw.conv("body.0", 3, width, 3)
    for number in range(convolutions + 1):
        draw.put(f"body.{2 * number + 1}.weight", (width,), 0.1, 0.2)
        made = width if number < convolutions else 3 * scale**2
        draw.conv(f"body.{2 * number + 2}", width, made, 3)
    return draw.tensors
