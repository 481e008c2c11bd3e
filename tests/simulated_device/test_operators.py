"""Ops on the simulated device against the CPU's, and those that it must refuse."""

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

Op = Callable[[Tensor], Tensor]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def in_place(value: Tensor) -> Tensor:
    copy = value.clone()
    copy[:, 1].mul_(2).add_(1)
    copy.t()[0] = 5
    return copy


def with_out(value: Tensor) -> Tensor:
    out = value.new_empty(0)
    torch.cat([value, value], out=out)
    torch.add(value, 1, out=out[:4])
    return out


def with_mask(value: Tensor) -> Tensor:
    copy = value.clone()
    copy[copy > 0] = -1
    return copy[copy < -0.5]


def attention(value: Tensor) -> Tensor:
    heads = value.reshape(1, 2, 4, 3)
    mask = torch.ones(4, 4, dtype=torch.bool, device=value.device).tril()
    return functional.scaled_dot_product_attention(heads, heads, heads, attn_mask=mask)


def index_ops(value: Tensor) -> Tensor:
    rows = torch.tensor([2, 0, 0], device=value.device)
    summed = value.index_add(0, rows, value[:3]).scatter_add(0, rows[:, None], value[:3, :1])
    chosen = torch.cat([summed.index_select(0, rows), value[rows], summed[[0, 1], :]])
    return chosen + summed.gather(1, rows[None]).sum()


def complex_numbers(value: Tensor) -> Tensor:
    turned = torch.view_as_complex(value.reshape(4, 3, 2))
    return torch.view_as_real((turned * turned.conj()).sum(0))


OPS: dict[str, Op] = {
    "arithmetic": lambda x: (x * 2 + 1).exp().sum(-1, keepdim=True) / x.abs().sqrt(),
    "matrices": lambda x: functional.linear(x, x, x[:, 0]) @ torch.addmm(x, x[:, :4], x),
    "reshaped views": lambda x: x.reshape(2, 12).t()[1:, :].unflatten(0, (11, 1)).permute(2, 1, 0),
    "pieces": lambda x: torch.cat([*x.chunk(2), *x.split([1, 3]), *x.unbind()[:0]]),
    "in place": in_place,
    "out": with_out,
    "mask": with_mask,
    "where": lambda x: torch.where(x > 0, x, torch.tensor(7.0)),
    "indices": index_ops,
    "sorted": lambda x: torch.cat([x.sort(dim=1).values, x.topk(2, dim=1).values], 1),
    "convolution": lambda x: functional.conv2d(
        x.reshape(1, 2, 4, 3), x.reshape(2, 2, 2, 3), x[0, :2], padding=1
    ),
    "transposed convolution": lambda x: functional.conv_transpose1d(
        x.reshape(1, 4, 6), x.reshape(4, 2, 3), stride=2
    ),
    "group norm": lambda x: functional.group_norm(x.reshape(1, 4, 2, 3), 2, x[0, :4], x[1, :4]),
    "group norm of a view": lambda x: functional.group_norm(x.reshape(1, 2, 3, 4).mT, 2),
    "layer norm": lambda x: functional.layer_norm(x, (6,), x[0], x[1]),
    "root mean square norm": lambda x: functional.rms_norm(x, (6,), x[0]),
    "attention": attention,
    "activations": lambda x: functional.gelu(functional.silu(x), approximate="tanh").softmax(-1),
    "resizing": lambda x: functional.interpolate(
        x.reshape(1, 1, 4, 6), scale_factor=2, mode="bicubic", antialias=True
    ),
    "embedding": lambda x: functional.embedding(torch.tensor([[1, 3]], device=x.device), x),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "complex numbers": complex_numbers,
    "frequencies": lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * 2),
    "clone in another layout": lambda x: x.reshape(1, 2, 4, 3).contiguous(
        memory_format=torch.channels_last
    ),
    "new tensors": lambda x: torch.full_like(x, 3) + x.new_zeros(6) + torch.eye(4, 6).to(x),
    "cumulative": lambda x: x.cumsum(0).cumprod(1).flip(0).roll(1, 1),
}


@pytest.mark.parametrize("name", OPS)
@torch.no_grad()
def test_an_op_computes_what_it_computes_on_the_cpu(simulated, name):
    value = numbers(4, 6)
    expected = OPS[name](value)

    result = OPS[name](value.to(simulated.device))

    assert result.device == simulated.device
    assert result.stride() == expected.stride()
    assert torch.equal(result.cpu(), expected)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.float8_e4m3fn]
)
def test_dtypes_are_converted_on_either_side(simulated, dtype):
    value = numbers(4, 6) * 10

    moved = value.to(simulated.device, dtype)
    there = value.to(simulated.device).to(dtype)

    assert moved.dtype == dtype
    for converted in (moved, there):
        assert torch.equal(converted.float().cpu(), value.to(dtype).float())
        assert torch.equal(converted.to("cpu", torch.float32), value.to(dtype).float())


@pytest.mark.parametrize(
    "op",
    [
        lambda here, host: here + host,
        lambda here, host: host + here,
        lambda here, host: torch.cat([here, host]),
        lambda here, host: here.add_(host),
        lambda here, host: host.add_(here),
        lambda here, host: torch.tensor(0.0).add_(here.sum()),
        lambda here, host: here @ host,
        lambda here, host: torch.nn.functional.conv1d(here[None], host[:, :, None]),
        lambda here, host: functional.scaled_dot_product_attention(here[None], host[None], host),
        lambda here, host: host[here.long()],
        lambda here, host: torch.where(here > 0, here, host),
    ],
)
@torch.no_grad()
def test_tensors_of_both_sides_do_not_meet_in_an_op(simulated, op):
    with pytest.raises(RuntimeError, match="same device"):
        op(torch.ones(4, 4, device=simulated.device), torch.ones(4, 4))


def test_a_number_of_the_host_is_taken(simulated):
    here = torch.ones(4, device=simulated.device)

    assert (here * torch.tensor(3.0) + torch.tensor(1)).tolist() == [4, 4, 4, 4]


def test_the_host_can_not_look_at_the_memory(simulated):
    with pytest.raises(TypeError, match="can't convert simulated:0"):
        torch.ones(4, device=simulated.device).numpy()


def test_random_numbers_follow_a_seed(simulated):
    here = torch.Generator(simulated.device).manual_seed(5)
    state = here.get_state()
    first = torch.randn(3, generator=here, device=simulated.device)
    second = torch.rand(3, generator=here, device=simulated.device)

    assert torch.equal(first.cpu(), numbers(3, seed=5))
    assert not torch.equal(first, second)
    here.set_state(state)
    assert torch.equal(torch.randn(3, generator=here, device=simulated.device), first)
    torch.manual_seed(5)
    assert torch.randn(3, device=simulated.device).isfinite().all()
    with pytest.raises(RuntimeError, match="device type for generator"):
        torch.randn(3, generator=torch.Generator(), device=simulated.device)


def test_weights_are_read_on_the_host_and_moved(simulated, tmp_path):
    weights = {"a": numbers(3, 4), "b": numbers(2, seed=1).half()}
    save_file(weights, tmp_path / "weights.safetensors")

    moved = {
        name: value.to(simulated.device)
        for name, value in load_file(tmp_path / "weights.safetensors").items()
    }

    assert simulated.counters().copies_to_device == 2
    assert simulated.counters().bytes_to_device == 3 * 4 * 4 + 2 * 2
    assert all(torch.equal(moved[name].cpu(), value) for name, value in weights.items())


def test_tensors_are_shown(simulated):
    assert repr(torch.ones(2, device=simulated.device)) == "tensor([1., 1.], device='simulated:0')"


def test_inference_mode_and_deep_copies(simulated):
    layer = torch.nn.Linear(4, 2).to(simulated.device)
    value = torch.ones(1, 4, device=simulated.device)

    with torch.inference_mode():
        result = layer(value)

    assert result.is_inference()
    assert torch.equal(result.cpu(), layer.cpu()(value.cpu()))
