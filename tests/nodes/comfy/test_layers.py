"""Layers and attention for networks of packs' own."""

import torch
from torch import nn

from nodes.comfy.host_modules import host_module

OPS = host_module("comfy.ops")
ATTENTION = host_module("comfy.ldm.modules.attention")


def test_layers_compute_as_torchs_do_in_the_dtype_of_their_input():
    cases = (
        ("Linear", nn.Linear(4, 3), (2, 4)),
        ("Conv2d", nn.Conv2d(4, 3, 3, padding=1), (2, 4, 5, 5)),
        ("Conv3d", nn.Conv3d(4, 3, 1), (2, 4, 2, 5, 5)),
        ("GroupNorm", nn.GroupNorm(2, 4), (2, 4, 5)),
        ("LayerNorm", nn.LayerNorm(4), (2, 4)),
    )
    arguments = {"Linear": (4, 3), "Conv2d": (4, 3, 3, 1, 1), "Conv3d": (4, 3, 1)}
    arguments |= {"GroupNorm": (2, 4), "LayerNorm": (4,)}
    for name, plain, shape in cases:
        layer = getattr(OPS.manual_cast, name)(*arguments[name])
        layer.load_state_dict(plain.state_dict())
        x = torch.randn(shape)

        assert isinstance(layer, type(plain))
        torch.testing.assert_close(layer(x), plain(x))
        torch.testing.assert_close(layer(x.double()).float(), plain(x))


def test_layers_are_picked_by_their_dtypes():
    assert OPS.pick_operations(torch.float16, torch.float16) is OPS.disable_weight_init
    assert OPS.pick_operations(torch.float16, torch.float32) is OPS.manual_cast
    assert isinstance(OPS.manual_cast.conv_nd(2, 4, 4, 1), nn.Conv2d)
    assert OPS.manual_cast.Linear.comfy_cast_weights


def test_attention_takes_heads_apart_and_masks_in_both_shapes():
    q, k, v = torch.randn(3, 2, 6, 8)
    heads = [each.view(2, 6, 4, 2).transpose(1, 2) for each in (q, k, v)]
    mask = torch.randn(2, 6, 6)
    scores = heads[0] @ heads[1].transpose(-1, -2) / 2**0.5 + mask[:, None]
    expected = scores.softmax(-1) @ heads[2]

    made = ATTENTION.optimized_attention(q, k, v, 4, mask=mask)
    torch.testing.assert_close(made, expected.transpose(1, 2).flatten(2))
    apart = ATTENTION.optimized_attention(
        *heads, 4, mask=mask, skip_reshape=True, skip_output_reshape=True
    )
    torch.testing.assert_close(apart, expected)
