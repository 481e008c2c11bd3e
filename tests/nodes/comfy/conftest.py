"""Packs that are imported by the tests' own process, which is quick."""

from contextlib import ExitStack

import pytest

from tests.nodes.comfy import packs


@pytest.fixture
def host_settings(tmp_path):
    """Settings with folders of their own."""
    return packs.settings_in(tmp_path)


@pytest.fixture
def import_pack(host_settings):
    """A function from the text of a pack to its node types, by their names."""
    with ExitStack() as stack:

        def import_text(text, name="toys", server=None):
            return stack.enter_context(packs.imported(host_settings, text, name, server))

        yield import_text
