"""Packs that are imported by the tests' own process, which is quick."""

import sys
from contextlib import contextmanager

import pytest

from nodegraph.execution.engine import Engine
from nodegraph.packs.loading import import_types
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackServer
from nodes.comfy.discovery import packs_in
from tests.nodes.comfy import packs


@contextmanager
def importing(settings):
    """A function from the text of a pack to its node types; at the end packs are forgotten."""
    finders = list(sys.meta_path)

    def import_text(text, name="toys", server=None):
        packs.write(settings.custom_nodes_dir, name, text)
        packs_in(settings, server or PackServer())
        return {each.spec.name: each for each in import_types(f"custom_nodes.{name}", name)}

    yield import_text
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if f"{name}.".startswith("custom_nodes.")]:
        del sys.modules[name]


@pytest.fixture
def host_settings(tmp_path):
    """Settings with folders of their own."""
    return packs.settings_in(tmp_path)


@pytest.fixture
def import_pack(host_settings):
    """A function from the text of a pack to its node types, by their names."""
    with importing(host_settings) as import_text:
        yield import_text


@pytest.fixture(scope="module")
def pack_engine(tmp_path_factory):
    """A function from the text of a pack to an engine that has its node types and ours."""
    settings = packs.settings_in(tmp_path_factory.mktemp("host"))
    with importing(settings) as import_text:

        def engine_of(text):
            ours = Registry.load(names=("nodes",))
            registry = Registry.from_types(*import_text(text).values(), also=ours)
            return Engine(registry, settings.files(ours.model_places))

        yield engine_of
