"""Runs that name the same file share its weights, whatever else they load and patch."""

import pytest
import torch

from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.packs.registry import Registry
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.settings.settings import Settings
from nodes.builtin.model.lora import lora_loader
from nodes.models.loading.checkpoint import open_checkpoint
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.loading.text_files import open_text_files
from nodes.models.networks.factory import skeleton
from nodes.models.text.textual_inversion import Embeddings
from tests.nodes.bench import Bench
from tests.tiny_models.checkpoints import lora, small_sd15, tiny, write
from tests.tiny_models.samplable import samplable

KEY = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


def test_two_runs_have_one_t5(tmp_path):
    pool = ModelPool()
    path = tiny("text_encoders/tiny_t5xxl.safetensors")
    clip_l = tiny("text_encoders/tiny_clip_l.safetensors")

    first = open_text_files([(clip_l, "l"), (path, "t5")], "flux", pool)
    second = open_text_files([(path, "t5")], "sd3", pool)

    (shared,) = second.encoders
    assert first.encoders[1].network is shared.network
    assert len(pool) == 2


def load_and_encode(text: str) -> Graph:
    """Load the demo model, and encode a text with it."""
    loader = Node("model", "CheckpointLoaderSimple", {"ckpt_name": "demo-shapes.safetensors"})
    encoder = Node("text", "CLIPTextEncode", {"text": text, "clip": Link("model", 1)})
    return Graph({"model": loader, "text": encoder})


def clip_of(engine: Engine) -> ClipHandle:
    """The text encoder that a run loads while no earlier result is kept."""
    engine.cache.clear()
    outputs = engine.run(load_and_encode("a fox"), targets=["model", "text"]).outputs
    clip = outputs["model"][1]
    assert isinstance(clip, ClipHandle)
    return clip


def test_the_runs_of_one_engine_share_networks_and_those_of_another_do_not(tmp_path):
    registry = Registry.load(names=("nodes",))
    files = Settings(models_dir=(tmp_path,)).files(registry.model_places)
    one, other = Engine(registry, files), Engine(registry, files)

    first, second, third = clip_of(one), clip_of(one), clip_of(other)

    network = first.text.encoders[0].network
    assert network is second.text.encoders[0].network
    assert network is not third.text.encoders[0].network
    assert network.header == third.text.encoders[0].network.header


def test_a_run_reports_each_model_once_and_if_it_had_to_be_loaded(tmp_path):
    registry = Registry.load(names=("nodes",))
    engine = Engine(registry, Settings(models_dir=(tmp_path,)).files(registry.model_places))
    reports: list[tuple[object, float | None]] = []
    clip = None
    for text in ("a fox", "a dog"):
        run = engine.run(
            load_and_encode(text),
            targets=["model", "text"],
            on_model_use=lambda *report: reports.append(report),
        )
        clip = run.outputs["model"][1]

    assert isinstance(clip, ClipHandle)
    (first, loaded), (again, in_memory) = reports
    assert first is again is clip.text.encoders[0].network
    assert loaded is not None
    assert in_memory is None


def test_a_lora_on_one_runs_text_encoder_is_not_on_the_others(tmp_path):
    bench = Bench(tmp_path)
    path = write(tmp_path / "a.safetensors", small_sd15())
    write(tmp_path / "models/loras/a.safetensors", lora(1, {KEY: (64, 64)}))
    pool = ModelPool()
    one, two = (open_checkpoint(path, "a", pool) for _ in range(2))
    embeddings = Embeddings(bench.files, bench.notice)
    before = ClipHandle(two.text).encode("a fox", embeddings).tokens

    patched = lora_loader(ModelHandle(one.model), ClipHandle(one.text), "a.safetensors", bench)

    assert one.text.encoders[0].network is two.text.encoders[0].network
    assert not torch.equal(patched.CLIP.encode("a fox", embeddings).tokens, before)
    assert torch.equal(ClipHandle(two.text).encode("a fox", embeddings).tokens, before)
    network = one.text.encoders[0].network
    base = network.module().state_dict()
    clone = network.module((patched.CLIP.patches[0][1],)).state_dict()
    own = [key for key in base if base[key].data_ptr() != clone[key].data_ptr()]
    assert own == ["encoder.layers.0.self_attn.q_proj.weight"]


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_a_network_that_is_built_again_has_the_classes_of_the_first(tmp_path, family):
    spec = samplable(tmp_path, family).model.model.network.spec

    one, other = ({type(module) for module in skeleton(spec).modules()} for _ in range(2))

    assert one == other
