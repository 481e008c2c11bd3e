"""Layers and attention for networks of packs' own."""

import pytest
import torch
from torch import nn

from nodes.comfy.host_modules import host_module

OPS = host_module("comfy.ops")
ATTENTION = host_module("comfy.ldm.modules.attention")
DIT = host_module("comfy.ldm.common_dit")


def test_layers_compute_as_torchs_do_in_the_dtype_of_their_input():
    cases = (
        ("Linear", nn.Linear(4, 3), (2, 4)),
        ("Conv2d", nn.Conv2d(4, 3, 3, padding=1), (2, 4, 5, 5)),
        ("Conv3d", nn.Conv3d(4, 3, 1), (2, 4, 2, 5, 5)),
        ("ConvTranspose1d", nn.ConvTranspose1d(4, 3, 3, 2), (2, 4, 5)),
        ("ConvTranspose2d", nn.ConvTranspose2d(4, 3, 3, 2), (2, 4, 5, 5)),
        ("GroupNorm", nn.GroupNorm(2, 4), (2, 4, 5)),
        ("RMSNorm", nn.RMSNorm(4), (2, 4)),
        ("LayerNorm", nn.LayerNorm(4), (2, 4)),
    )
    arguments = {"Linear": (4, 3), "Conv2d": (4, 3, 3, 1, 1), "Conv3d": (4, 3, 1)}
    arguments |= {"ConvTranspose1d": (4, 3, 3, 2), "ConvTranspose2d": (4, 3, 3, 2)}
    arguments |= {"GroupNorm": (2, 4), "LayerNorm": (4,), "RMSNorm": (4,)}
    for name, plain, shape in cases:
        layer = getattr(OPS.manual_cast, name)(*arguments[name])
        layer.load_state_dict(plain.state_dict())
        x = torch.randn(shape)

        assert isinstance(layer, type(plain))
        assert (layer.bias is None) is (getattr(plain, "bias", None) is None)
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


PACK = """
import comfy.ops
import torch
from comfy.ops import CastWeightBiasOp, disable_weight_init, manual_cast


class Doubling(torch.nn.Module):
    def forward_comfy_cast_weights(self, input, *args, **more):
        return 2 * super().forward_comfy_cast_weights(input, *args, **more)


class Doubles(comfy.ops.manual_cast):
    class Linear(Doubling, comfy.ops.manual_cast.Linear):
        def __init__(self, size, device=None, dtype=None):
            super().__init__(size, size, bias=False, device=device, dtype=dtype)

    class Conv2d(Doubling, manual_cast.Conv2d):
        pass

    class Embedding(Doubling, manual_cast.Embedding):
        pass


class CleanNorms(disable_weight_init):
    class GroupNorm(disable_weight_init.GroupNorm):
        def forward_comfy_cast_weights(self, input):
            weight, bias, stream = comfy.ops.cast_bias_weight(self, input, offloadable=True)
            made = torch.nn.functional.group_norm(input, self.num_groups, weight, bias, self.eps)
            comfy.ops.uncast_bias_weight(self, weight, bias, stream)
            return made


class Node:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"x": ("INT", {"default": 1})}})
    RETURN_TYPES = ("FLOAT",) * 4
    FUNCTION = "run"

    def run(self, x):
        layers = Doubles.Linear(1), Doubles.conv_nd(2, 1, 1, 1, bias=False), Doubles.Embedding(2, 1)
        for layer in layers:
            assert isinstance(layer, CastWeightBiasOp)
            torch.nn.init.ones_(layer.weight)
        linear, conv, embedding = layers
        given = torch.full((1, 1), float(x), dtype=torch.float64)
        picture = torch.tensor([[[[1.0, -1.0]]]], dtype=torch.float64)
        norm = CleanNorms.GroupNorm(1, 1)
        norm.load_state_dict({"weight": torch.full((1,), 3.0), "bias": torch.ones(1)})
        norm.comfy_cast_weights = True
        values = linear(given), conv(picture)[..., 0], norm(picture)[..., 0]
        return (*(value.item() for value in values), embedding(torch.tensor(1)).item())


NODE_CLASS_MAPPINGS = {"Node": Node}
"""


def test_packs_derive_from_both_namespaces_and_from_their_layers(import_pack):
    assert import_pack(PACK)["Node"](x=5) == pytest.approx((10, 2, 4, 2), abs=1e-4)


def test_layers_cast_only_where_they_are_told_to_and_change_their_weights_where_asked():
    linear = OPS.disable_weight_init.Linear(1, 1, bias=False)
    linear.load_state_dict({"weight": torch.ones(1, 1)})
    x = torch.ones(1, 1)

    with pytest.raises(RuntimeError, match="dtype"):
        linear(x.double())
    linear.weight_function = [lambda weight: weight + 1, lambda weight: weight * 3]
    assert linear(x.double()).item() == 6
    assert issubclass(OPS.manual_cast.Linear, OPS.disable_weight_init.Linear)
    assert not OPS.disable_weight_init.Linear.comfy_cast_weights


def test_an_embedding_returns_the_dtype_that_is_asked_for():
    for namespace in (OPS.disable_weight_init, OPS.manual_cast):
        table = namespace.Embedding(3, 2)
        plain = nn.Embedding(3, 2)
        table.load_state_dict(plain.state_dict())
        rows = torch.tensor([[2, 0]])

        assert table.bias is None
        torch.testing.assert_close(table(rows), plain(rows))
        assert table(rows, out_dtype=torch.float64).dtype == torch.float64


def test_the_parts_that_transformers_share():
    x, weight = torch.randn(2, 3, 5), torch.rand(5)
    normed = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    torch.testing.assert_close(DIT.rms_norm(x), normed)
    torch.testing.assert_close(DIT.rms_norm(x, weight), normed * weight)
    padded = DIT.pad_to_patch_size(x[None], (2, 4))
    assert padded.shape == (1, 2, 4, 8)
    assert padded[..., :3, 5:].equal(x[None][..., :3])
    assert padded[..., 3, :5].equal(x[None][..., 0, :])
