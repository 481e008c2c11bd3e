"""Results that leave a device for the host when it is full, and come back when they are read."""

import threading
from functools import partial
from typing import Annotated, Any, NamedTuple, cast

import pytest
import torch
from torch import Tensor

from nodegraph.cache.content import ContentCache
from nodegraph.cache.entry import entry_of
from nodegraph.cache.survey import HOST
from nodegraph.definition.node import node
from nodegraph.execution.engine import Engine
from nodegraph.execution.weights_budget import AcceleratorMemory
from nodegraph.graph.graph import Graph, Link
from nodegraph.graph.sockets import Socket
from nodegraph.packs.registry import Registry
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.residency import ModelUse
from nodegraph.runtime.run_environment import RunEnvironment, plan_use, use_environment
from nodegraph.runtime.run_models import RunModels
from nodegraph.settings.settings import Settings
from nodes.values import Cond, Conditioning, Latent
from tests.nodes.models.test_weights_cache import workflow
from tests.simulated_device.test_streaming import sample
from tests.tiny_models.checkpoints import small_sd15, write
from tests.tiny_models.samplable import samplable
from tests.toys import files_in, graph_of

KIB = 1024
Image = Annotated[Tensor, Socket("IMAGE")]


@node("Make", category="test")
def make(value: float, kib: int = 64) -> Image:
    """An image on the device, of so many KiB."""
    return torch.full((kib * 256,), value, device="simulated")


@node("Twice", category="test")
def twice(image: Image) -> Image:
    return image * 2


@node("Total", category="test")
def total(image: Image, more: Image) -> float:
    assert image.device.type == more.device.type == "simulated"
    return float((image + more).sum())


@node("Large", category="test")
def large(image: Image, kib: int) -> float:
    return float((image.repeat(kib // 64)).sum())


class Both(NamedTuple):
    image: Image
    same: Image


@node("View", category="test")
def view(image: Image) -> Both:
    return Both(image, image[16:32])


def engine_of(tmp_path, device_limit, limit=1 << 30) -> Engine:
    registry = Registry.from_types(make, twice, total, large, view)
    return Engine(registry, files_in(tmp_path), ContentCache(limit, device_limit))


def doubled(value, kib=64) -> Graph:
    return graph_of(a=("Make", {"value": value, "kib": kib}), b=("Twice", {"image": Link("a", 0)}))


def place(engine: Engine, name: str):
    """What the cache says of a place."""
    return {each.place: each for each in engine.cache.stats.places}[name]


def run(engine, graph, target="b") -> tuple[int, Any]:
    """The number of nodes that were computed, and the first output of the target."""
    result = engine.run(graph, targets=[target])
    return result.executed, cast("Any", result.outputs[target][0])


@pytest.mark.parametrize(("limit", "spills"), [(400 * KIB, 0), (150 * KIB, 2)])
def test_a_b_a_computes_nothing_again_whether_both_fit_or_not(simulated, tmp_path, limit, spills):
    engine, card = engine_of(tmp_path, limit), simulated.device.type
    first = run(engine, doubled(1.0))
    run(engine, doubled(3.0))
    held = place(engine, f"{card}:0")
    simulated.reset()

    again = run(engine, doubled(1.0))

    assert (first[0], again[0]) == (2, 0)
    assert torch.equal(again[1], first[1])
    assert again[1].device == simulated.device
    assert (held.spills, held.spilled_bytes) == (spills, 64 * KIB * spills)
    assert held.nbytes <= limit
    assert place(engine, HOST).nbytes >= 64 * KIB * spills
    assert simulated.counters().bytes_to_device == (64 * KIB if spills else 0)  # the target alone
    assert place(engine, f"{card}:0").returns == (1 if spills else 0)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "checkpoints/a.safetensors", small_sd15())
    return tmp_path


@pytest.mark.parametrize("limit", [64 << 20, 160_000, 0])
def test_images_of_a_model_are_kept_likewise(simulated, folder, limit):
    registry = Registry.load(names=("nodes",))
    files = Settings(models_dir=(folder,)).files(registry.model_places)
    engine = Engine(registry, files, ContentCache(device_limit=limit))
    executed, first = run(engine, workflow(1), "invert")
    run(engine, workflow(2), "invert")
    simulated.reset()

    again, second = run(engine, workflow(1), "invert")
    counted, there = simulated.counters(), place(engine, "simulated:0")

    assert (executed, again) == (6, 0)
    assert torch.equal(first, second)
    assert second.device == simulated.device
    assert bool(there.spills) == (limit < 64 << 20)
    assert there.nbytes <= limit
    assert counted.bytes_to_device <= second.nbytes


def test_prompts_outlive_the_engine_and_come_to_the_device(simulated, folder):
    settings = Settings(
        models_dir=(folder,),
        cache_dir=folder / "cache",
        disk_result_cache=1 << 20,
        packs=("nodes",),
    )
    registry = Registry.load(names=("nodes",))
    _, first = run(Engine.from_settings(settings, registry), workflow(1), "invert")
    started, engine = [], Engine.from_settings(settings, registry)
    again = engine.run(workflow(1), targets=["invert"], emit=started.append)
    computed = [event.node_id for event in started if event.name == "node_started"]

    assert computed == ["load", "latent", "sample", "decode", "invert"]  # all but the text
    assert torch.equal(cast("Any", again.outputs["invert"][0]), first)
    assert (place(engine, "disk").hits, place(engine, "disk").entries) == (1, 1)
    assert place(engine, "simulated:0").returns == 1
    assert engine.models.stats.loads == 2


def test_what_a_node_reads_is_brought_back_and_what_no_node_reads_stays(simulated, tmp_path):
    engine = engine_of(tmp_path, 0)
    run(engine, doubled(1.0))
    simulated.reset()

    nodes = dict(doubled(1.0).nodes) | dict(
        graph_of(c=("Total", {"image": Link("b", 0), "more": Link("b", 0)})).nodes
    )
    executed, found = run(engine, Graph(nodes), "c")

    assert (executed, found) == (1, 4.0 * 64 * 256)
    assert simulated.counters().bytes_to_device == 64 * KIB  # b, and neither a nor b twice
    assert place(engine, "simulated:0").nbytes == 0


def test_a_result_that_a_run_still_needs_is_not_moved_for_the_limit(simulated, tmp_path):
    graph = graph_of(
        a=("Make", {"value": 1.0, "kib": 64}),
        b=("Twice", {"image": Link("a", 0)}),
        c=("Twice", {"image": Link("b", 0)}),
        d=("Total", {"image": Link("a", 0), "more": Link("c", 0)}),
    )
    engine = engine_of(tmp_path, 0)
    simulated.reset()

    run(engine, graph, "d")

    assert simulated.counters().bytes_to_device == 0
    assert place(engine, "simulated:0").spills == 3


def test_what_the_next_run_will_look_for_leaves_last(simulated, tmp_path):
    engine = engine_of(tmp_path, 150 * KIB, limit=300 * KIB)
    run(engine, doubled(1.0))
    engine.expect(doubled(1.0), ["b"])
    for value in range(2, 9):
        run(engine, doubled(float(value)))
    simulated.reset()

    assert run(engine, doubled(1.0))[0] == 0
    assert simulated.counters().bytes_to_device == 0
    assert engine.cache.stats.evictions > 0


def test_results_are_moved_to_the_host_when_a_node_lacks_memory(simulated, tmp_path):
    engine, events = engine_of(tmp_path, 1 << 30), []
    for value in range(8):
        run(engine, doubled(float(value)))
    simulated.set_budget(simulated.live_bytes() + 300 * KIB)
    graph = Graph(
        dict(doubled(1.0).nodes)
        | dict(graph_of(c=("Large", {"image": Link("b", 0), "kib": 704})).nodes)
    )

    engine.run(graph, targets=["c"], emit=events.append)

    assert [event.message for event in events if event.name == "notice"] == [
        "out of memory: results of earlier nodes are moved to the host, trying again."
    ]
    simulated.set_budget()
    for value in range(8):
        executed, found = run(engine, doubled(float(value)))
        assert executed == 0
        assert torch.equal(found.cpu(), torch.full((64 * 256,), 2.0 * value))


def test_a_result_stays_on_the_host_where_it_has_no_room_to_come_back(simulated, tmp_path):
    engine = engine_of(tmp_path, 0)
    run(engine, doubled(1.0))
    simulated.set_budget(simulated.live_bytes() + KIB)

    executed, found = run(engine, doubled(1.0))

    assert (executed, found.device.type) == (0, "cpu")
    assert torch.equal(found, torch.full((64 * 256,), 2.0))


def test_memory_that_results_share_moves_once_and_stays_shared(simulated, tmp_path):
    engine = engine_of(tmp_path, 100 * KIB)
    graph = graph_of(
        a=("Make", {"value": 1.0, "kib": 64}),
        b=("View", {"image": Link("a", 0)}),
        c=("Make", {"value": 2.0, "kib": 64}),
    )
    engine.run(graph, targets=["a", "b"])
    assert place(engine, "simulated:0").nbytes == 64 * KIB
    simulated.reset()

    engine.run(graph, targets=["c"])
    engine.cache.spill(1 << 30)
    counted = simulated.counters()

    assert counted.bytes_to_host == 2 * 64 * KIB
    assert place(engine, HOST).nbytes < 2 * 64 * KIB + 8 * KIB
    same: Any = engine.run(graph, targets=["b"]).outputs["b"]
    whole, part = same
    assert part.data_ptr() == whole.data_ptr() + 16 * 4
    assert part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    again: Any = engine.run(graph, targets=["a", "b"]).outputs
    assert simulated.counters().bytes_to_device == 64 * KIB
    assert again["a"][0].data_ptr() == again["b"][0].data_ptr()


def test_a_conditioning_and_a_latent_keep_all_they_have(simulated):
    card = simulated.device
    cond = Cond(
        torch.ones(1, 7, 4, device=card).half(),
        torch.arange(6.0, device=card).view(2, 3).t(),
        mask=torch.ones(2, 2),
        extras={"more": [torch.tensor(3, device=card)], "name": "x"},
    )
    value = (Conditioning((cond,)), Latent(torch.ones(1, 4, 2, 2, device=card)[:, 1:]))
    cache, entry = ContentCache(device_limit=0), entry_of(value, None, 1.0)
    cache.put("x", entry)

    cache.put("y", entry_of((1,), None, 1.0))
    cache.release([])
    assert cache.spill(1) > 0
    text, latent = cast("Any", entry.outputs)

    (moved,) = text.conds
    assert {t.device.type for t in (moved.tokens, moved.pooled, moved.extras["more"][0])} == {"cpu"}
    assert moved.mask is cond.mask
    assert (moved.tokens.dtype, moved.pooled.stride()) == (torch.float16, (1, 3))
    assert torch.equal(moved.pooled, torch.arange(6.0).view(2, 3).t())
    assert (moved.extras["name"], int(moved.extras["more"][0])) == ("x", 3)
    assert latent.samples.shape == (1, 3, 2, 2)
    cache.begin_reading([entry])
    (back,) = cast("Any", entry.outputs[0]).conds
    assert (back.tokens.device, back.extras["more"][0].device) == (card, card)
    assert back.mask is cond.mask


def test_a_result_that_was_written_to_is_not_moved_but_forgotten(simulated):
    cache, tensor = ContentCache(device_limit=0), torch.ones(256, device=simulated.device)
    entry = entry_of((tensor,), None, 1.0)
    cache.put("x", entry)
    tensor.add_(1)

    cache.spill(1)

    assert entry.outputs[0] is tensor
    del entry
    assert cache.get("x") is None
    assert cache.stats.entries == 0


def test_runs_go_on_while_results_are_moved(simulated, tmp_path):
    engine, failures = engine_of(tmp_path, 200 * KIB), []
    simulated.set_link_speed(200e6)

    def work(first):
        for k in range(12):
            value = float((first + k) % 6)
            try:
                _, found = run(engine, doubled(value))
                assert torch.equal(found.cpu(), torch.full((64 * 256,), 2 * value))
            except Exception as error:  # noqa: BLE001 - told below, in the thread of the test
                failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    there = place(engine, "simulated:0")
    assert there.nbytes <= 200 * KIB
    assert there.spills > 0
    assert (there.evictions, place(engine, HOST).evictions) == (0, 0)
    stored = sum(each.nbytes for each in engine.cache.stats.places)
    assert stored == 12 * (64 * KIB + KIB)


def test_a_full_host_drops_what_is_cheapest_and_counts_it(simulated, tmp_path):
    engine = engine_of(tmp_path, 0, limit=200 * KIB)
    for value in range(6):
        run(engine, doubled(float(value)))

    host = place(engine, HOST)

    assert host.nbytes <= 200 * KIB
    assert host.evictions > 0
    assert engine.cache.stats.evictions == host.evictions + place(engine, "simulated:0").evictions


@pytest.mark.parametrize(("limit", "moved"), [(1 << 30, 5), (3 * 256 * KIB, 2)])
def test_results_move_to_the_host_before_a_network_is_streamed(simulated, tmp_path, limit, moved):
    kind, cache = samplable(tmp_path), ContentCache(limit, 1 << 30)
    network = kind.model.model.network
    whole = sample(kind, tmp_path)
    network.unload()
    live = simulated.live_bytes()
    for number in range(8):
        made = (torch.full((64 * KIB,), float(number), device=simulated.device),)
        cache.put(str(number), entry_of(made, None, seconds=1.0 + number))
        del made
    pool = ModelPool(1 << 40, AcceleratorMemory(reserve=0), partial(cache.spill, drops=False))
    beside = 4 << 20
    simulated.set_budget(live + network.nbytes() + beside + 3 * 256 * KIB)
    with use_environment(RunEnvironment(models=RunModels(pool, None))):
        plan_use(ModelUse((network,), beside))
        found = sample(kind, tmp_path)

    places = {each.place: each for each in cache.stats.places}
    assert (places["simulated:0"].spills, cache.stats.evictions) == (moved, 0)
    assert torch.equal(found, whole)
    assert (network.host_bytes == 0) == (moved == 5)
    left = [cast("Any", cache.get(str(k))).outputs[0].device.type for k in range(8)]
    assert left == ["cpu"] * moved + ["simulated"] * (8 - moved)
    assert simulated.counters().refusals == 0
