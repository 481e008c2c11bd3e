"""Weights have a store of their own: kept between runs up to a budget, gone after the last use."""

import gc
from weakref import ref

import pytest
import torch

from nodegraph.cache.content import ContentCache
from nodegraph.cache.entry import entry_of
from nodegraph.cache.protocol import NoCache
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import NodeFinished
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings
from nodes.builtin.model.checkpoints import checkpoint_loader_simple
from nodes.builtin.model.lora import lora_loader
from nodes.models.loading.checkpoint import unload_others
from nodes.models.loading.network import Network
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_sd15, write

KEY = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
TINY = 100_000
"""Bytes of a result cache that holds latents and conditionings, but no weights."""


@pytest.fixture
def no_collector():
    """Only references count: the collector of cycles is off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def folder(tmp_path):
    """A folder of models with two checkpoints of the same shapes."""
    for seed, name in enumerate("ab"):
        write(tmp_path / f"checkpoints/{name}.safetensors", small_sd15(seed=seed))
    return tmp_path


def engine_of(folder, cache=None, weights_cache: int = 1 << 30) -> Engine:
    registry = Registry.load(names=("nodes",))
    files = Settings(models_dir=(folder,)).files(registry.model_places)
    return Engine(registry, files, cache, weights_cache=weights_cache)


def workflow(seed: int = 1, name: str = "a", shift: bool = False) -> Graph:
    """Text to image, in as few steps as there can be."""
    nodes = {
        "load": ("CheckpointLoaderSimple", {"ckpt_name": f"{name}.safetensors"}),
        "text": ("CLIPTextEncode", {"text": "a fox", "clip": Link("load", 1)}),
        "latent": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "model": ("RescaleCFG", {"model": Link("load", 0), "multiplier": 0.5}),
        "sample": (
            "KSampler",
            {
                "model": Link("model" if shift else "load", 0),
                "positive": Link("text", 0),
                "negative": Link("text", 0),
                "latent_image": Link("latent", 0),
                "seed": seed,
                "steps": 1,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        ),
        "decode": ("VAEDecode", {"samples": Link("sample", 0), "vae": Link("load", 2)}),
        "invert": ("ImageInvert", {"image": Link("decode", 0)}),
    }
    return Graph({key: Node(key, kind, inputs) for key, (kind, inputs) in nodes.items()})


class Listener:
    """Hears of the models that runs use."""

    def __init__(self) -> None:
        self.networks: dict[str, ref[Network]] = {}
        self.loads: list[str] = []
        self.found: list[str] = []

    def __call__(self, model, seconds) -> None:
        self.networks[model.spec.name] = ref(model)
        (self.found if seconds is None else self.loads).append(model.spec.name)


def run(engine, graph, listener, emit=None, target="invert"):
    return engine.run(graph, targets=[target], on_model_use=listener, emit=emit)


def test_another_seed_loads_no_weights_though_the_results_are_not_kept(folder):
    engine = engine_of(folder, ContentCache(TINY))
    first, second = Listener(), Listener()

    run(engine, workflow(1), first)
    gc.collect()
    run(engine, workflow(2), second)

    assert len(first.loads) == 3
    assert second.loads == []
    assert len(second.found) == 2  # the text is encoded already
    assert (engine.models.stats.loads, engine.models.stats.hits) == (3, 2)


def test_handles_weigh_next_to_nothing_as_results(folder):
    bench = Bench(folder)
    write(folder / "models/checkpoints/a.safetensors", small_sd15())
    write(folder / "models/loras/l.safetensors", lora(1, {KEY: (64, 64)}))
    loaded = checkpoint_loader_simple("a.safetensors", bench)
    patched = lora_loader(loaded.MODEL, loaded.CLIP, "l.safetensors", bench)

    entry, more = entry_of(tuple(loaded), None, 0.1), entry_of(tuple(patched), None, 0.1)

    assert [len(models) for models in entry.models] == [1, 1, 1]
    assert more.models == entry.models[:2]
    assert 0 < entry.nbytes < 20_000
    assert 0 < more.nbytes < 20_000
    assert loaded.MODEL.weight_bytes > 100_000


@pytest.mark.parametrize("shift", [False, True])
def test_weights_without_a_budget_go_after_their_last_reader(folder, no_collector, shift):
    engine = engine_of(folder, weights_cache=0)
    listener = Listener()
    modules: dict[str, ref[torch.nn.Module]] = {}
    alive: dict[str, set[str]] = {}

    def watch(event) -> None:
        if isinstance(event, NodeFinished):
            for name, network in listener.networks.items():
                held = network()
                if name not in modules and held is not None and held.held_bytes:
                    modules[name] = ref(held.module())
            alive[event.node_id] = {name for name, module in modules.items() if module()}

    run(engine, workflow(shift=shift), listener, watch)

    text, model, vae = listener.loads
    after = [node for node in alive if node not in ("load", "latent", "model")]
    assert after == ["text", "sample", "decode", "invert"]
    assert [alive[node] for node in after] == [{text}, {model}, {vae}, set()]
    assert engine.models.stats.nbytes == 0


def test_a_network_is_dead_after_its_last_reader_if_no_result_is_kept(folder, no_collector):
    engine = engine_of(folder, NoCache(), weights_cache=0)
    listener = Listener()
    dead: dict[str, bool] = {}
    zero = Node("zero", "ConditioningZeroOut", {"conditioning": Link("text", 0)})
    nodes = {key: workflow().nodes[key] for key in ("load", "text")}

    def watch(event) -> None:
        if isinstance(event, NodeFinished):
            dead[event.node_id] = all(network() is None for network in listener.networks.values())

    run(engine, Graph({**nodes, "zero": zero}), listener, watch, target="zero")

    assert len(listener.loads) == 1
    assert dead == {"load": True, "text": False, "zero": True}


def test_the_least_recently_used_weights_go_first(folder):
    roomy = engine_of(folder)
    run(roomy, workflow(), Listener())
    size = roomy.models.stats.nbytes
    engine = engine_of(folder, NoCache(), weights_cache=int(size * 1.9))  # all is computed
    heard: list[Listener] = []

    for seed, name in enumerate("abba"):
        heard.append(Listener())
        run(engine, workflow(seed, name), heard[-1])
        assert 0 < engine.models.stats.nbytes <= size * 1.9

    assert [len(each.loads) for each in heard[:3]] == [3, 3, 0]
    assert len(heard[3].loads) > 0
    assert engine.models.stats.evictions > 0


def test_freeing_lets_go_of_all_weights(folder):
    engine = engine_of(folder)
    run(engine, workflow(), Listener())
    assert engine.models.stats.models == 3

    engine.free()

    assert engine.models.stats.nbytes == engine.models.stats.models == 0
    again = Listener()
    run(engine, workflow(2), again)
    assert len(again.loads) == 3


def test_unloading_others_drops_old_variants_of_the_one_that_is_kept(folder):
    bench = Bench(folder)
    mapped = {key: tensor.float() for key, tensor in small_sd15().items()}
    write(folder / "models/checkpoints/a.safetensors", mapped)
    write(folder / "models/loras/l.safetensors", lora(1, {KEY: (64, 64)}))
    loaded = checkpoint_loader_simple("a.safetensors", bench)
    network = loaded.CLIP.text.encoders[0].network
    clones = []
    for strength in (0.25, 0.5, 1.0):
        clip = lora_loader(loaded.MODEL, loaded.CLIP, "l.safetensors", bench, 1.0, strength).CLIP
        clones.append(ref(network.module(clip.by_encoder[network.spec.name])))
    own = network.held_bytes - network.nbytes()

    freed = unload_others(bench.models, network)

    assert freed
    assert [clone() is None for clone in clones] == [True, True, False]
    assert 0 < (network.held_bytes - network.nbytes()) * 3 == own
    assert not unload_others(bench.models, network)


def test_converted_weights_are_there_once_whatever_the_strength(folder):
    bench = Bench(folder)
    write(folder / "models/checkpoints/a.safetensors", small_sd15())
    write(folder / "models/loras/l.safetensors", lora(1, {KEY: (64, 64)}))
    loaded = checkpoint_loader_simple("a.safetensors", bench)
    network = loaded.CLIP.text.encoders[0].network
    base = {key: weight.clone() for key, weight in network.module().state_dict().items()}

    for strength in (0.25, 0.5, 0.0, 1.0):
        clip = lora_loader(loaded.MODEL, loaded.CLIP, "l.safetensors", bench, 1.0, strength).CLIP
        network.module(clip.by_encoder[network.spec.name])
        assert network.held_bytes == network.nbytes()

    again = network.module().state_dict()
    assert all(torch.equal(again[key], weight) for key, weight in base.items())
