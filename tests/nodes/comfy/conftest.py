"""Packs that are imported by the tests' own process, which is quick."""

import sys

import pytest

from nodegraph.packs.loading import import_types
from nodegraph.packs.routes import PackServer
from nodes.comfy.discovery import packs_in
from tests.nodes.comfy import packs


@pytest.fixture
def host_settings(tmp_path):
    """Settings with folders of their own."""
    return packs.settings_in(tmp_path)


@pytest.fixture
def import_pack(host_settings):
    """A function from the text of a pack to its node types, by their names."""
    finders = list(sys.meta_path)

    def import_text(text, name="toys", server=None):
        packs.write(host_settings.custom_nodes_dir, name, text)
        packs_in(host_settings, server or PackServer())
        return {each.spec.name: each for each in import_types(f"custom_nodes.{name}", name)}

    yield import_text
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if f"{name}.".startswith("custom_nodes.")]:
        del sys.modules[name]
