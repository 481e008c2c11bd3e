"""Functions of packs inside of a network: in its attention, between its blocks, and around it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nodes
from nodegraph.runtime.model_pool import ModelPool
from nodes.comfy.host.network.attention import optimized_attention
from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.models import PackModel
from nodes.comfy.values.patches.wrappers import WrappersMP
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.forward import denoise
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.base.call_context import wrap
from nodes.models.networks.base.errors import WrongNetworkError
from nodes.models.networks.modifiers.freeu import FreeU
from nodes.models.networks.modifiers.unet_parts import input_blocks
from nodes.values import CondBatch
from tests.tiny_models.samplable import samplable

DEMO = Path(nodes.__file__).parent / "assets" / "demo-shapes.safetensors"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model():
    return PackModel(ModelHandle(open_checkpoint(DEMO, str(DEMO), ModelPool()).model))


class Changed:
    """An alteration by a function, in plain torch."""

    def __init__(self, change: Callable[[Any], None]) -> None:
        self.alter = change


def hooked(end: str, change: Callable[[Tensor], Tensor]) -> Changed:
    """An alteration of the outputs of layers whose names end so."""

    def alter(network: nn.Module) -> None:
        for name, module in network.named_modules():
            if name.endswith(end):
                module.register_forward_hook(lambda _module, _inputs, output: change(output))

    return Changed(alter)


def x0_of(patched: PackModel | ModelHandle, **more: Any) -> Tensor:
    """The prediction of a model for a positive and a negative text."""
    handle = patched.to_handle() if isinstance(patched, PackModel) else patched
    torch.manual_seed(1)
    x, tokens = torch.randn(2, 4, 16, 16), torch.randn(2, 77, 64)
    cond = CondBatch(tokens, extras={"sizes": torch.zeros(2, 7)}, chunks=2, branches=(0, 1), **more)
    return denoise(handle, x, torch.tensor([5.0, 3.0]), cond)


def test_attention_in_place_of_a_networks_own_scales_as_in_plain_torch(model):
    patched, plain = model.clone(), x0_of(model)
    for block in (("input", 1), ("input", 3), ("middle", 0), *(("output", n) for n in range(2, 6))):
        patched.set_model_attn2_replace(
            lambda q, k, v, extra: optimized_attention(q, k, v * 0.5, extra["n_heads"]), *block
        )
    halved = model.handle.with_alteration(hooked("attn2.to_v", lambda value: value * 0.5))

    torch.testing.assert_close(x0_of(patched), x0_of(halved))
    assert not x0_of(patched).allclose(plain, atol=1e-3)
    assert x0_of(model).equal(plain)


@pytest.mark.parametrize("kind", ["attn1", "attn2"])
def test_what_attention_reads_and_gives_can_be_changed(model, kind):
    patched = model.clone()
    getattr(patched, f"set_model_{kind}_patch")(lambda q, k, v, _extra: (q, k, v * 0.5))
    getattr(patched, f"set_model_{kind}_output_patch")(lambda out, _extra: out * 2)
    handle = model.handle.with_alteration(hooked(f"{kind}.to_v", lambda value: value * 0.5))
    same = handle.with_alteration(hooked(f"{kind}.to_out.0", lambda value: value * 2))

    torch.testing.assert_close(x0_of(patched), x0_of(same))


def test_functions_know_their_place_and_the_rows_of_each_branch(model):
    seen: list[Any] = []
    patched = model.clone()

    def look(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> tuple[Tensor, ...]:
        seen.append({**extra, "shape": tuple(q.shape)})
        return q, k, v

    patched.set_model_attn2_patch(look)
    x0_of(patched)

    names = model.model_state_dict()
    starts = [name.split(".attn2")[0] for name in names if name.endswith("attn2.to_q.weight")]
    told = [(*each["block"], each["block_index"]) for each in seen]
    places = [name.split(".")[1:] for name in starts]
    assert told == [
        (part.partition("_")[0], int(n) if part != "middle_block" else 0, int(rest[-1]))
        for part, n, *rest in sorted(places, key=lambda at: "imo".index(at[0][0]))
    ]
    assert [each["transformer_index"] for each in seen] == list(range(len(seen)))
    first = seen[0]
    assert (first["cond_or_uncond"], first["original_shape"]) == ([0, 1], [2, 4, 16, 16])
    assert first["activations_shape"] == [2, 48, 16, 16]
    assert first["shape"] == (2, 256, first["n_heads"] * first["dim_head"])
    assert first["sigmas"].tolist() == [5.0, 3.0]


def test_a_replacement_may_be_for_one_transformer_block_alone(model):
    one, all_of_it, none = model.clone(), model.clone(), model.clone()
    for patched, index in ((one, 0), (all_of_it, None), (none, 1)):
        patched.set_model_attn1_replace(lambda q, _k, _v, _x: q * 0, "middle", 0, index)

    assert x0_of(one).equal(x0_of(all_of_it))
    assert x0_of(none).equal(x0_of(model))
    assert not x0_of(one).allclose(x0_of(model), atol=1e-3)


def test_blocks_can_be_changed_with_and_without_their_skip_connections(model):
    def doubles(name: str) -> PackModel:
        patched = model.clone()
        add = getattr(patched, f"set_model_{name}")
        add(lambda h, options: h * 2 if options["block"] == ("input", 3) else h)
        return patched

    def after(network: Any) -> None:
        wrap(input_blocks(network)[3][-1], lambda run, *args, **more: (run(*args, **more)[0] * 2,))

    def before(network: Any) -> None:
        wrap(input_blocks(network)[4][0], lambda run, h, *args: run(h * 2, *args))

    for name, change in (("input_block_patch", after), ("input_block_patch_after_skip", before)):
        same = model.handle.with_alteration(Changed(change))
        torch.testing.assert_close(x0_of(doubles(name)), x0_of(same))
    assert not x0_of(doubles("input_block_patch")).allclose(
        x0_of(doubles("input_block_patch_after_skip")), atol=1e-3
    )


def test_a_packs_free_u_is_ours(model):
    patched, numbers = model.clone(), list[Any]()

    def free_u(h: Tensor, skip: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        numbers.append(options["block"])
        if h.shape[1] == 96:
            h = torch.cat([h[:, :48] * 1.4, h[:, 48:]], dim=1)
        return h, skip

    patched.set_model_output_block_patch(free_u)
    ours = model.handle.with_alteration(FreeU((1.0, 1.4), (1.0, 1.0)))

    torch.testing.assert_close(x0_of(patched), x0_of(ours), atol=1e-5, rtol=1e-5)
    assert numbers == [("output", number) for number in range(6)]


def test_the_embedding_of_the_timestep_can_be_changed(model):
    patched = model.clone()
    patched.set_model_emb_patch(lambda emb, channels, _options: emb * (channels / 24))
    same = model.handle.with_alteration(hooked("time_embedding", lambda emb: emb * 2))

    torch.testing.assert_close(x0_of(patched), x0_of(same))


def test_a_function_around_apply_model_may_make_several_passes(model):
    patched, told = model.clone(), list[Any]()

    def one_by_one(apply_model: Callable[..., Tensor], given: dict[str, Any]) -> Tensor:
        told.append(given["cond_or_uncond"])
        rows = zip(given["input"].split(1), given["timestep"].split(1), strict=True)
        made = list[Tensor]()
        for number, (x, t) in enumerate(rows):
            c = {
                name: value[number : number + 1] if isinstance(value, Tensor) else value
                for name, value in given["c"].items()
            }
            made.append(apply_model(x, t, **c) * 3)
        return torch.cat(made)

    patched.set_model_unet_function_wrapper(one_by_one)

    torch.testing.assert_close(x0_of(patched), x0_of(model) * 3, atol=1e-5, rtol=1e-5)
    assert told == [[0, 1]]


def test_a_function_around_apply_model_may_change_attention_for_its_pass(model):
    patched, fixed = model.clone(), model.clone()

    def quiet(out: Tensor, _extra: object) -> Tensor:
        return out * 0

    def wrapper(apply_model: Callable[..., Tensor], given: dict[str, Any]) -> Tensor:
        options = {
            **given["c"].pop("transformer_options"),
            "patches": {"attn2_output_patch": [quiet]},
        }
        return apply_model(
            given["input"], given["timestep"], transformer_options=options, **given["c"]
        )

    patched.set_model_unet_function_wrapper(wrapper)
    fixed.set_model_attn2_output_patch(quiet)

    assert x0_of(patched).equal(x0_of(fixed))


def test_wrappers_of_the_network_are_called_from_the_outside_in(model):
    patched, order = model.clone(), list[str]()

    def around(name: str, factor: float) -> Callable[..., Tensor]:
        def wrapper(executor: Any, x: Tensor, *args: Any, **more: Any) -> Tensor:
            order.append(name)
            return executor(x, *args, **more) * factor

        return wrapper

    patched.add_wrapper(WrappersMP.APPLY_MODEL, around("outer", 2.0))
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "toys", around("first", 4.0))
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "toys", around("second", 0.25))

    torch.testing.assert_close(x0_of(patched), x0_of(model) * 2)
    assert order == ["outer", "first", "second"]
    assert len(patched.get_wrappers(WrappersMP.DIFFUSION_MODEL, "toys")) == 2
    patched.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, "toys")
    assert patched.get_all_wrappers(WrappersMP.DIFFUSION_MODEL) == []


def test_a_wrapper_of_the_network_may_give_it_another_text(model):
    patched = model.clone()

    def swap(
        executor: Any, x: Tensor, t: Tensor, context: Tensor, *args: Any, **more: Any
    ) -> Tensor:
        return executor(x, t, context.flip(0), *args, **more)

    patched.add_wrapper(WrappersMP.DIFFUSION_MODEL, swap)
    same = model.clone()
    same.set_model_attn2_patch(lambda q, k, _v, _extra: (q, k.flip(0), k.flip(0)))

    torch.testing.assert_close(x0_of(patched), x0_of(same))


def test_the_changes_of_several_packs_add_up(model):
    first = model.clone()
    first.set_model_attn2_output_patch(lambda out, _extra: out * 4)
    second = PackModel(first.to_handle())
    second.set_model_attn2_output_patch(lambda out, _extra: out / 4)

    torch.testing.assert_close(x0_of(second), x0_of(model), atol=1e-5, rtol=1e-5)
    assert not x0_of(first).allclose(x0_of(model), atol=1e-3)
    handle = first.to_handle()
    assert PackModel(handle).clone().to_handle() == handle


def test_what_has_no_counterpart_is_told(model, tmp_path):
    patched = model.clone()
    patched.set_model_patch(print, "middle_patch")
    with pytest.raises(NotOfferedError, match="the patch 'middle_patch'"):
        patched.to_handle()
    wrapped = model.clone()
    wrapped.add_wrapper("nobodys", print)
    with pytest.raises(NotOfferedError, match="a wrapper around 'nobodys'"):
        wrapped.to_handle()
    with pytest.raises(NotOfferedError, match="the callback 'on_load_after'"):
        patched.add_callback("on_load_after", print)

    flux = PackModel(samplable(tmp_path, "flux").model)
    flux.set_model_attn1_patch(print)
    with pytest.raises(WrongNetworkError, match="a U-Net"):
        flux.to_handle().model.network.module(alterations=flux.to_handle().alterations)
