"""Model files in an object store: listed there, fetched once when a run needs them."""

from dataclasses import replace
from uuid import uuid4

import obstore
import pytest

from nodegraph.errors import NotHereError, RunCancelledError, UnknownFileError
from nodegraph.settings.settings import Settings

FILES = {
    "checkpoints/a.safetensors": b"a" * 3_000_000,
    "checkpoints/notes.txt": b"no model",
    "loras/style/b.safetensors": b"b",
    "unet/big-00001-of-00002.safetensors": b"1",
    "unet/big-00002-of-00002.safetensors": b"2",
    "diffusers/tiny/model_index.json": b"{}",
    "diffusers/tiny/vae/config.json": b"{}",
}


class _Watch:
    def __init__(self, cancelled=False):
        self.told, self._cancelled = [], cancelled

    def progress(self, value, total):
        self.told.append((value, total))

    def notice(self, message):
        raise AssertionError(message)

    def check_cancelled(self):
        if self._cancelled:
            raise RunCancelledError


@pytest.fixture
def models(object_store, monkeypatch, tmp_path):
    """The files of a machine whose models lie in the store, and the client of their bucket."""
    prefix = f"m-{uuid4().hex[:12]}"
    client = object_store.client()
    for name, data in FILES.items():
        obstore.put(client, f"{prefix}/{name}", data)
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    flags = {"models_dir": (object_store.place(prefix),), "cache_dir": str(tmp_path / "cache")}
    return Settings.read(flags, {}).files(), client, prefix


def test_models_are_listed_before_they_are_fetched(models):
    files, *_ = models

    assert files.model_names("checkpoints") == ["a.safetensors"]
    assert files.model_names("loras") == ["style/b.safetensors"]
    assert files.model_names("diffusers") == ["tiny"]
    with pytest.raises(NotHereError, match=r"checkpoints/a\.safetensors"):
        files.model("checkpoints", "a.safetensors")
    with pytest.raises(UnknownFileError):
        files.model("checkpoints", "c.safetensors")


def test_a_run_fetches_a_model_once_and_hears_how_far_it_is(models):
    files, *_ = models
    watch = _Watch()
    running = replace(files, watch=watch)

    path = running.model("checkpoints", "a.safetensors")
    told = len(watch.told)

    assert path.read_bytes() == FILES["checkpoints/a.safetensors"]
    assert watch.told[-1] == (2, 2)
    assert running.model("checkpoints", "a.safetensors") == path
    assert len(watch.told) == told
    assert files.model("checkpoints", "a.safetensors") == path  # also without a run


def test_shards_and_folders_come_whole(models):
    running = replace(models[0], watch=_Watch())

    shard = running.model("diffusion_models", "big-00001-of-00002.safetensors")
    folder = running.model("diffusers", "tiny")

    assert shard.with_name("big-00002-of-00002.safetensors").read_bytes() == b"2"
    assert (folder / "vae" / "config.json").is_file()


def test_a_model_that_was_replaced_is_another_one(models):
    files, client, prefix = models
    before = files.models.content("checkpoints", "a.safetensors")
    replace(files, watch=_Watch()).model("checkpoints", "a.safetensors")
    assert files.models.content("checkpoints", "a.safetensors") == before

    obstore.put(client, f"{prefix}/checkpoints/a.safetensors", b"other")
    for root in files.model_roots.values():
        root._listed = None  # as half a minute later
    path = replace(files, watch=_Watch()).model("checkpoints", "a.safetensors")

    assert path.read_bytes() == b"other"
    assert files.models.content("checkpoints", "a.safetensors") != before


def test_a_cancelled_run_leaves_no_half_of_a_model(models):
    files, *_ = models

    with pytest.raises(RunCancelledError):
        replace(files, watch=_Watch(cancelled=True)).model("checkpoints", "a.safetensors")

    with pytest.raises(NotHereError):
        files.model("checkpoints", "a.safetensors")
