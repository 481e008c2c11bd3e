"""A worker reads the files of the run that is next."""

import os
import time

import pytest

from nodegraph.cache.protocol import NoCache
from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.settings.settings import Settings
from nodegraph.workflow.read import read_prompt
from server.worker_process import look_ahead
from server.worker_process.look_ahead import LookAhead, available_bytes

PLENTY = 1 << 40


def loads(name):
    return {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}}


@pytest.fixture
def engine(tmp_path):
    folder = tmp_path / "models/checkpoints"
    folder.mkdir(parents=True)
    for name in "ab":
        path = folder / f"{name}.safetensors"
        path.write_bytes(name.encode() * 1000)
        os.utime(path, (1e9, 1e9))  # the hash of a file that was just written is not remembered
    time.sleep(0.06)
    registry = Registry.load(names=("nodes",))
    settings = Settings(models_dir=(tmp_path / "models",), cache_dir=tmp_path / "cache")
    return Engine(registry, settings.files(registry.model_places))


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were read ahead, which they are besides."""
    names, really = [], look_ahead._read

    def note(path):
        names.append(path.name)
        really(path)

    monkeypatch.setattr(look_ahead, "_read", note)
    return names


def expect(ahead, prompt):
    thread = ahead.expect(prompt)
    assert thread is not None
    thread.join(20)


def test_a_file_is_read_and_hashed_ahead_once(engine, read):
    ahead = LookAhead(engine, lambda: PLENTY)
    path = engine.files.model("checkpoints", "b.safetensors")

    for _ in range(2):
        expect(ahead, loads("b.safetensors"))

    assert read == ["b.safetensors"]
    assert engine.files.identities.known_sha256(path)


def test_the_results_that_the_run_will_look_for_are_expected(engine):
    image = {"width": 16, "height": 16, "batch_size": 1, "color": 0}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": image},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }

    class Expecting(NoCache):
        def __init__(self):
            self.expected, self.found = set[str](), set[str]()

        def expect(self, keys):
            self.expected.update(keys)

        def get(self, key, *, counted=True):
            self.found.add(key)
            return super().get(key, counted=counted)

    cache = Expecting()
    engine = Engine(engine.registry, engine.files, cache)
    expect(LookAhead(engine, lambda: PLENTY), prompt)
    engine.run(read_prompt(prompt))

    assert cache.expected == cache.found
    assert len(cache.found) == 2


def test_a_file_that_a_run_uses_is_not(engine, read):
    ahead = LookAhead(engine, lambda: PLENTY)
    ahead.note(read_prompt(loads("a.safetensors")))

    expect(ahead, loads("a.safetensors"))
    expect(ahead, loads("b.safetensors"))

    assert read == ["b.safetensors"]


def test_a_file_of_more_than_half_of_the_memory_is_not(engine, read):
    expect(LookAhead(engine, lambda: 1999), loads("a.safetensors"))
    expect(LookAhead(engine, lambda: 2000), loads("b.safetensors"))

    assert read == ["b.safetensors"]


@pytest.mark.parametrize("prompt", [{}, {"1": 5}, loads("none.safetensors"), loads(3)])
def test_what_is_wrong_with_the_run_is_left_to_the_run(engine, read, prompt):
    expect(LookAhead(engine, lambda: PLENTY), prompt)

    assert read == []


def test_the_machine_says_how_much_memory_it_has():
    assert available_bytes() > 1 << 20
