"""Which kernels compute attention, as the settings choose."""

import logging
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from nodegraph.runtime.run_environment import RunEnvironment, run_environment, use_environment
from nodes.models.loading.forward import denoise, prepare
from nodes.models.networks.base import attention_backends
from nodes.models.networks.base.attention_backends import (
    AttendWith,
    AttentionInputs,
    attention_backend,
    math_kernel,
)
from nodes.models.weights.errors import UnavailableHereError
from nodes.values import CondBatch
from tests.nodes.pictures import grid
from tests.tiny_models.samplable import samplable


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: samplable(folder, name) for name in ("sd15", "sd3", "flux")}


def predicted(kind):
    (cond,) = kind.text(0.3).conds
    channels = kind.model.latent_format.channels
    whole = prepare(kind.model, cond, (8, 8))
    batch = CondBatch(whole.tokens, whole.pooled, whole.extras)
    return denoise(kind.model, grid((1, channels, 8, 8), 0.7), torch.tensor([0.5]), batch)


@pytest.mark.parametrize("name", ["sd15", "sd3", "flux"])
@pytest.mark.parametrize("choice", ["math", "flash", "cudnn"])
def test_torchs_kernels_agree(kinds, name, choice):
    plain = predicted(kinds[name])

    with use_environment(RunEnvironment(attention=choice)):
        chosen = predicted(kinds[name])

    torch.testing.assert_close(chosen, plain, rtol=1e-3, atol=1e-3)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ value


@pytest.mark.parametrize("name", ["sd15", "sd3", "flux"])
def test_another_function_stands_in_whatever_the_network(kinds, name):
    seen: list[tuple[int, ...]] = []

    def counted(inputs: AttentionInputs) -> Tensor | None:
        seen.append(tuple(inputs.query.shape))
        return attend(*inputs[:3]) if inputs.is_plain else None

    with AttendWith(counted):
        found = predicted(kinds[name])

    assert seen
    assert all(len(shape) == 4 for shape in seen)
    torch.testing.assert_close(found, predicted(kinds[name]), rtol=1e-3, atol=1e-3)


def test_calls_with_more_than_query_key_and_value_are_told_apart():
    query, key, value = torch.randn(3, 1, 2, 5, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    expected = scaled_dot_product_attention(query, key, value, mask)

    with AttendWith(lambda call: torch.full_like(call.value, 7.0) if call.is_plain else None):
        masked = scaled_dot_product_attention(query, key, value, mask)
        named = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        causal = scaled_dot_product_attention(query, key, value, is_causal=True)
        plain = scaled_dot_product_attention(query, key, value)

    for found in (masked, named, causal):
        torch.testing.assert_close(found, expected)
    assert plain.unique().tolist() == [7.0]


@pytest.mark.parametrize(
    ("choice", "package"), [("xformers", "xformers"), ("sage", "sageattention")]
)
def test_what_is_not_installed_is_said_so(kinds, choice, package):
    with (
        use_environment(RunEnvironment(attention=choice)),
        pytest.raises(UnavailableHereError, match=f"attention by the package {package!r}"),
    ):
        predicted(kinds["sd15"])


def test_a_choice_ends_with_the_run():
    with use_environment(RunEnvironment(attention="math")):
        assert run_environment().attention == "math"
    assert run_environment().attention == "sdpa"


FLAGS = ("flash_sdp_enabled", "mem_efficient_sdp_enabled", "math_sdp_enabled", "cudnn_sdp_enabled")


def flags():
    return [getattr(cuda, name)() for name in FLAGS]


@pytest.mark.parametrize("choice", ["math", "flash", "cudnn"])
def test_runs_that_overlap_leave_the_process_as_it_was(choice):
    """The first one begins before the second, and ends before it."""
    before, within = flags(), list[list[bool]]()
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with use_environment(RunEnvironment(attention=choice)), attention_backend():
            first_in.set()
            second_in.wait(30)
        first_out.set()

    def second():
        first_in.wait(30)
        with use_environment(RunEnvironment(attention="math")), attention_backend():
            second_in.set()
            first_out.wait(30)
            within.append(flags())

    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert within == [before]
    assert flags() == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("how", ["plain", "mask", "bias", "causal", "scale"])
def test_math_is_torchs_plain_implementation(dtype, how):
    draw = torch.Generator().manual_seed(2)
    query, key, value = torch.randn(3, 1, 2, 5, 8, generator=draw).to(dtype)
    more: dict[str, Any] = {
        "plain": {},
        "mask": {"attn_mask": torch.ones(5, 5, dtype=torch.bool).tril()},
        "bias": {"attn_mask": torch.randn(5, 5, generator=draw).to(dtype)},
        "causal": {"is_causal": True},
        "scale": {"scale": 0.3},
    }[how]
    with sdpa_kernel([SDPBackend.MATH]):
        expected = scaled_dot_product_attention(query, key, value, **more)

    found = math_kernel(AttentionInputs(query, key, value, **more))

    torch.testing.assert_close(found, expected, rtol=0, atol=0)


class Calls(TorchDispatchMode):
    """Notes the operators that run."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("choice", "question", "operator"),
    [
        ("flash", "can_use_flash_attention", "_scaled_dot_product_flash_attention"),
        ("cudnn", "can_use_cudnn_attention", "_scaled_dot_product_cudnn_attention"),
    ],
)
@pytest.mark.parametrize("usable", [True, False])
def test_a_kernel_of_the_card_is_used_where_torch_says_that_it_can(
    monkeypatch, choice, question, operator, usable
):
    monkeypatch.setattr(cuda, question, lambda _: usable)
    monkeypatch.setattr(cuda, "SDPAParams", lambda *parts: parts)  # a build without CUDA has none
    with (
        FakeTensorMode(),
        Calls() as calls,
        use_environment(RunEnvironment(attention=choice)),
        attention_backend(),
    ):
        query = torch.empty(1, 2, 64, 64, dtype=torch.float16, device="cuda")
        found = scaled_dot_product_attention(query, query, query)
        masked = scaled_dot_product_attention(
            query, query, query, torch.ones(64, 64, dtype=torch.bool, device="cuda")
        )

    assert found.shape == masked.shape == query.shape
    assert calls.names.count(operator) == usable


def sage(query, key, value, *, tensor_layout):
    """What the package demands of its inputs; the answer is recognisable."""
    assert tensor_layout == "HND"
    assert query.dtype in (torch.float16, torch.bfloat16), "Input tensors must be fp16 or bf16"
    assert query.shape[-1] <= 128, "Unsupported head_dim"
    return torch.full_like(value, 7.0)


@pytest.mark.parametrize(
    ("dtype", "size", "reason"),
    [
        (torch.float16, 128, ""),
        (torch.bfloat16, 40, ""),
        (torch.float16, 160, "heads of 160 numbers"),
        (torch.float32, 64, "inputs of float32"),
    ],
)
def test_torch_computes_what_sage_can_not_and_that_is_logged_once(
    monkeypatch, caplog, dtype, size, reason
):
    monkeypatch.setitem(sys.modules, "sageattention", SimpleNamespace(sageattn=sage))
    attention_backends._log_fallback.cache_clear()
    draw = torch.Generator().manual_seed(3)
    query, key, value = torch.randn(3, 1, 2, 5, size, generator=draw).to(dtype)
    expected = scaled_dot_product_attention(query, key, value)
    caplog.set_level(logging.WARNING)

    with use_environment(RunEnvironment(attention="sage")), attention_backend():
        found = [scaled_dot_product_attention(query, key, value) for _ in range(3)]

    if not reason:
        expected = torch.full_like(value, 7.0)
    for each in found:
        torch.testing.assert_close(each, expected)
    assert [reason in record.getMessage() for record in caplog.records] == [True] * bool(reason)
