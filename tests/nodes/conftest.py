"""The checkpoints of `tests.tiny_models.folders`, written when they are first asked for."""

from functools import cache

import pytest

from tests.tiny_models.checkpoints import write
from tests.tiny_models.folders import original, write_folder
from tests.tiny_models.handles import opened


@pytest.fixture(scope="session")
def layouts_root(tmp_path_factory):
    return tmp_path_factory.mktemp("layouts")


@pytest.fixture(scope="session")
def single(layouts_root):
    """A checkpoint in one file, by its family."""
    return cache(lambda name: opened(write(layouts_root / f"{name}.safetensors", original(name))))


@pytest.fixture(scope="session")
def folder(layouts_root, single):
    """The same as a folder."""
    return cache(lambda name: write_folder(layouts_root / name, name, single(name)))
