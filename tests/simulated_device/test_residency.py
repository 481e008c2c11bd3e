"""Weights that wait on the host: what moves, when, and what happens on bad days."""

import gc
import threading
import weakref
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from nodegraph.runtime import devices
from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.conditioning.prompts import clip_text_encode
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ClipHandle, ModelHandle, VaeHandle
from nodes.models.loading.network_file import NetworkFile
from nodes.models.loading.vision import open_vision
from nodes.models.residency.conveyor import Conveyor
from nodes.models.residency.errors import TooSmallShareError
from nodes.models.residency.placement import place
from nodes.models.residency.side_stream import SideStream
from nodes.models.residency.split import park, split
from nodes.models.residency.units import divide
from nodes.models.weights.quantized import QuantizedTensor
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid
from tests.simulated_device.test_streaming import sample, with_lora
from tests.tiny_models import vision_encoders
from tests.tiny_models.checkpoints import LETTERS, small_flux, small_sd15, write
from tests.tiny_models.folders import whole_flux
from tests.tiny_models.quantized_files import layers_in, scaled, write_gguf
from tests.tiny_models.random_weights import Draw
from tests.tiny_models.samplable import Samplable, samplable

SHARES = (0.6, 0.3, 0.15)
LAYERS, WIDTH = 12, 64
MATRIX = 4 * WIDTH * WIDTH + 4 * WIDTH
"""The bytes of one layer of `chain`."""


def chain(bad: list[int] | None = None) -> nn.Sequential:
    """Layers in a row; those in the list raise an error."""

    class Layer(nn.Linear):
        def __init__(self, number: int) -> None:
            super().__init__(WIDTH, WIDTH)
            self.number = number

        def forward(self, input):
            made = super().forward(input)
            if bad and self.number in bad:
                raise ZeroDivisionError
            return made

    return nn.Sequential(*(Layer(number) for number in range(LAYERS)))


@contextmanager
def streamed(bad: list[int] | None = None, share: float = 0.4):
    """Yield a chain with a share of its weights on the device, its input and its output."""
    torch.manual_seed(1)
    whole, x = chain(), torch.linspace(-1, 1, WIDTH)[None]
    expected = whole(x)
    weights = {key: each.detach() for key, each in whole.state_dict().items()}
    sizes = {key: each.nbytes for key, each in weights.items()}
    with torch.device("meta"):
        empty = chain(bad)
    places = split(
        lambda largest: divide(empty, sizes, largest), sizes, int(share * sum(sizes.values()))
    )
    assert places is not None
    placed = place(dict(weights), places, torch.device("simulated"))
    with torch.no_grad():
        yield placed.module(empty, {}), placed, x.to("simulated"), expected


def test_parked_units_are_spread_evenly_and_fill_the_share():
    with torch.device("meta"):
        network = chain()
    sizes = {key: each.nbytes for key, each in network.state_dict().items()}

    found = split(lambda largest: divide(network, sizes, largest), sizes, 6 * MATRIX)

    assert found is not None
    assert (found.slots, found.held_bytes) == (2, 6 * MATRIX)
    assert [unit.name for unit in found.parked] == ["0", "1", "3", "4", "6", "7", "9", "10"]
    away = park(lambda largest: divide(network, sizes, largest), sizes)
    assert (len(away.parked), away.resident, away.held_bytes) == (LAYERS, (), 0)


def test_each_pass_moves_what_is_parked_and_no_more(simulated):
    with streamed() as (module, placed, x, expected):
        moved: list[int] = []
        for _ in range(3):
            simulated.reset()
            assert torch.equal(module(x).cpu(), expected)
            moved.append(simulated.counters().bytes_to_device)
        assert simulated.counters().syncs == 0

    parked = placed.split.streamed_bytes
    assert moved == [parked + placed.split.slot_nbytes, parked, parked]  # the first of the next


class Log(list[tuple[str, int, object]]):
    """Copies (with the event that they come after), opened units and marks, in their order."""

    def watch(self, monkeypatch):
        copy, mark, opens = SideStream.copy, SideStream.mark, Conveyor.open

        def copied(stream, source, target, after):
            self.append(("copy", target.data_ptr(), after))
            return copy(stream, source, target, after)

        def marked(stream):
            self.append(("mark", 0, made := mark(stream)))
            return made

        def opened(conveyor, name, passage):
            made = opens(conveyor, name, passage)
            slot = next(iter(made.values())).untyped_storage().data_ptr()
            self.append(("open", slot, None))
            return made

        monkeypatch.setattr(SideStream, "copy", copied)
        monkeypatch.setattr(SideStream, "mark", marked)
        monkeypatch.setattr(Conveyor, "open", opened)


def test_a_unit_is_copied_while_the_one_before_computes(simulated, monkeypatch):
    log = Log()
    log.watch(monkeypatch)
    with streamed() as (module, placed, x, expected):
        simulated.set_link_speed(2_000_000)
        log.clear()
        module(x)
        assert torch.equal(module(x).cpu(), expected)

    calls = 2 * len(placed.units)
    assert [name for name, *_ in log] == ["copy", *["copy", "open", "mark"] * calls]
    free: dict[int, object] = {}
    used = 0
    for name, slot, event in log:
        if name == "open":
            used = slot
        elif name == "mark":
            free[used] = event
        else:
            assert event is free.get(slot, event)  # after it nothing reads the slot


def test_an_error_in_the_middle_leaves_nothing_behind(simulated):
    bad = [5]
    with streamed(bad) as (module, _, x, expected):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                module(x)
        bad.clear()
        assert torch.equal(module(x).cpu(), expected)
        simulated.fail_allocation(4)
        with pytest.raises(torch.OutOfMemoryError):
            module(x)
        assert torch.equal(module(x).cpu(), expected)


def test_units_may_be_called_in_any_order_twice_or_not_at_all(simulated):
    with streamed() as (module, placed, x, _):
        weights = {
            key: each for unit in placed.units.values() for key, each in unit.weights.items()
        }
        for number in (3, 3, 0, 10, 1, 9, 3, 0, 4, 6):
            linear = module.get_submodule(str(number))
            if (key := f"{number}.weight") in weights:
                expected = nn.functional.linear(x.cpu(), weights[key], weights[f"{number}.bias"])
                assert torch.equal(linear(x).cpu(), expected)
            else:
                linear(x)


def test_weights_that_are_not_there_can_not_be_computed_with(simulated):
    with streamed() as (module, placed, x, _):
        module(x)
        part = module.get_submodule(next(iter(placed.units)))
        assert isinstance(part, nn.Linear)
        with pytest.raises(RuntimeError, match="meta"):
            nn.functional.linear(x, part.weight, part.bias)


def test_two_threads_at_once_are_an_error(simulated):
    with streamed() as (module, placed, x, _):
        errors: list[BaseException] = []

        def other(*_):
            try:
                module.get_submodule("1")(x)
            except AssertionError as error:
                errors.append(error)

        first = next(iter(placed.units))
        part = module.get_submodule(first)

        def meanwhile(*_):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

        part.register_forward_pre_hook(meanwhile)
        module(x)

    assert len(errors) == 1


def test_without_pinned_memory_the_numbers_are_the_same(simulated, caplog):
    simulated.refuse_pinning()
    devices._tell_unpinned.cache_clear()
    caplog.set_level("INFO")

    with streamed() as (module, _, x, expected):
        assert torch.equal(module(x).cpu(), expected)

    assert caplog.text.count("no pinned memory") == 1
    assert simulated.counters().pinned_allocations == 0


def at_shares(network, compute):
    """Compare with what a network computes whole, and with a part of its weights on the device."""
    whole = compute()
    nbytes = network.held_bytes
    for share in SHARES:
        limit = max(int(share * nbytes), network.least_bytes)
        network.resize(limit)
        for _ in range(2):
            found = compute()
            assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))
        assert 0 < network.held_bytes <= limit


def test_text_encoders(simulated, tmp_path):
    path = write(tmp_path / "a.safetensors", whole_flux(), LETTERS)
    clip, bench = ClipHandle(open_checkpoint(path, "a", ModelPool()).text), Bench(tmp_path)

    def compute():
        (cond,) = clip_text_encode("a cat", clip, bench).conds
        assert cond.pooled is not None
        return cond.tokens.cpu(), cond.pooled.cpu()

    for encoder in clip.text.encoders:
        at_shares(encoder.network, compute)


def test_an_autoencoder(simulated, tmp_path):
    path = write(tmp_path / "a.safetensors", small_sd15())
    vae = VaeHandle(open_checkpoint(path, "a", ModelPool()).vae)
    picture, latent = grid((1, 3, 16, 16), 0.3).abs(), grid((1, 4, 4, 4), 0.3)

    at_shares(vae.vae.network, lambda: (vae.encode(picture).cpu(), vae.decode(latent).cpu()))


@pytest.mark.parametrize("kind", ["vision", "siglip"])
def test_vision_encoders(simulated, tmp_path, kind):
    draw = Draw(3)
    getattr(vision_encoders, kind)(draw)
    eyes = open_vision(write(tmp_path / "a.safetensors", draw.tensors), "a", ModelPool())
    pictures = grid((1, 16, 16, 3), 0.3).abs().clamp(max=1)

    at_shares(eyes.network, lambda: (eyes.see(pictures).last.cpu(),))


@pytest.mark.parametrize("kind", ["fp8", "gguf", "nvfp4", "w4a8"])
def test_quantized_weights_travel_packed(simulated, tmp_path, kind):
    path = tmp_path / f"a.{'gguf' if kind == 'gguf' else 'safetensors'}"
    if kind == "gguf":
        pytest.importorskip("gguf")
        write_gguf(path, small_flux(), "Q4_0")
    else:
        tensors = small_flux()
        write(path, scaled(tensors)[0] if kind == "fp8" else layers_in(tensors, kind))
    model = ModelHandle(open_checkpoint(path, "a", ModelPool()).model)
    network = model.model.network
    flux = Samplable(model, 64, 64)

    at_shares(network, lambda: (sample(flux, tmp_path, 1),))
    before = simulated.counters().bytes_to_device
    sample(flux, tmp_path, 1)

    weights = network.kept_weights().values()
    quantized = [each for each in weights if isinstance(each, QuantizedTensor)]
    assert network.unpacked_bytes == max(each.numel() * each.dtype.itemsize for each in quantized)
    packed = sum(network.file.sizes.values())
    assert network.held_bytes + network.host_bytes <= 1.5 * packed
    assert simulated.counters().bytes_to_device - before < 1.3 * packed
    assert not any(
        each.packed.is_floating_point() and each.packed.itemsize > 1 for each in quantized
    )


def test_a_network_is_parked_and_comes_back_without_its_file(simulated, tmp_path, monkeypatch):
    kind = samplable(tmp_path, "sd15")
    network = kind.model.model.network
    whole, nbytes = sample(kind, tmp_path, 1), network.held_bytes
    live = simulated.live_bytes()
    monkeypatch.setattr(NetworkFile, "read", lambda *_: pytest.fail("the file is read again"))

    for limit in (0, nbytes // 2, 0, nbytes // 4, nbytes):
        network.resize(limit)
        assert network.held_bytes <= limit
        assert simulated.counters().live_bytes <= live - nbytes + limit
        assert network.host_bytes >= 0.99 * (nbytes - limit)
        assert network.host_bytes <= 1.6 * nbytes
        if limit:
            assert torch.equal(sample(kind, tmp_path, 1), whole)
    assert network.held_bytes == nbytes

    network.resize(0)
    assert torch.equal(sample(kind, tmp_path, 1), whole)  # nobody gave it a share: the least
    assert 0 < network.held_bytes <= network.least_bytes
    assert network.unload()
    assert network.host_bytes == network.held_bytes == 0


def test_a_share_below_the_largest_layer_is_an_error_that_says_so(simulated, tmp_path):
    kind = samplable(tmp_path, "sd15")
    network = kind.model.model.network
    whole = sample(kind, tmp_path, 1)
    network.resize(network.least_bytes - 1)

    with pytest.raises(TooSmallShareError, match=r"needs 0\.3 MiB") as caught:
        network.module()
    assert "memory_budget" in caught.value.hint
    network.resize(network.least_bytes)

    assert torch.equal(sample(kind, tmp_path, 1), whole)


def test_weights_that_do_not_fit_after_all_are_read_again(simulated, tmp_path):
    kind = samplable(tmp_path, "sd15")
    network = kind.model.model.network
    whole, nbytes = sample(kind, tmp_path, 1), network.held_bytes
    network.resize(nbytes // 2)
    simulated.set_budget(simulated.live_bytes())

    with pytest.raises(MemoryError):
        network.resize(nbytes)
    assert network.held_bytes == network.host_bytes == 0
    simulated.set_budget()

    assert torch.equal(sample(kind, tmp_path, 1), whole)


def test_a_patch_of_some_calls_alone(simulated, tmp_path):
    kind = samplable(tmp_path)
    network, patches = kind.model.model.network, with_lora(kind, tmp_path, 1.0).model.patches
    (key,) = patches[0].touches
    expected = network.module(beside=patches).state_dict()[key].cpu()
    network.resize(network.least_bytes)

    found = network.module(beside=patches)

    assert torch.equal(found.state_dict()[key].cpu(), expected)
    assert found is network.module(beside=patches)
    assert network.module().state_dict()[key].device.type == "meta"


def test_weights_are_free_as_soon_as_nobody_has_the_network(simulated, tmp_path):
    kind = samplable(tmp_path, "flux")
    kind.model.model.network.resize(kind.model.model.network.nbytes() // 2)
    sample(kind, tmp_path, 1)
    gc.collect()
    gc.disable()
    try:
        conveyor = weakref.ref(kind.model.model.network.module())
        del kind
        assert conveyor() is None
    finally:
        gc.enable()
