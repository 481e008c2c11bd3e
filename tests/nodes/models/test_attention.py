"""Which kernels compute attention, as the settings choose."""

import pytest
import torch
from torch import Tensor

from nodegraph.runtime.run_environment import RunEnvironment, run_environment, use_environment
from nodes.models.loading.forward import denoise, prepare
from nodes.models.networks.base.attention_backends import AttendWith
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
@pytest.mark.parametrize("choice", ["math", "flash"])
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

    def counted(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        seen.append(tuple(query.shape))
        return attend(query, key, value)

    with AttendWith(counted):
        found = predicted(kinds[name])

    assert seen
    assert all(len(shape) == 4 for shape in seen)
    torch.testing.assert_close(found, predicted(kinds[name]), rtol=1e-3, atol=1e-3)


def test_what_has_a_mask_stays_with_torch():
    query, key, value = torch.randn(3, 1, 2, 5, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)

    with AttendWith(lambda q, k, v: torch.full_like(v, 7.0)):
        masked = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)
        named = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        causal = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        plain = torch.nn.functional.scaled_dot_product_attention(query, key, value)

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
