"""Which of ComfyUI's image templates have only node types that are offered here."""

import json
from pathlib import Path

from nodegraph.packs.registry import Registry

DATA = Path(__file__).parent.parent / "data" / "templates.json"
"""The node types of the 59 image templates of ComfyUI 0.3.64 that need no paid service, and which
39 of the templates are for Stable Diffusion and FLUX."""

LACKING = {
    "ChromaRadianceOptions",
    "EmptyChromaRadianceLatentImage",
    "QuadrupleCLIPLoader",
    "QwenImageDiffsynthControlnet",
}
"""What the other 20 use, those of further families, that may be lacking. Only ever take away."""


def lacking(templates, types):
    """What the templates use that is not offered."""
    catalog = Registry.load(["nodes"]).catalog
    return {each for name in templates for each in types[name] if each not in catalog}


def test_every_template_for_stable_diffusion_and_flux_has_its_node_types():
    data = json.loads(DATA.read_text())

    assert len(data["sd_flux"]) == 39
    assert lacking(data["sd_flux"], data["node_types"]) == set()


def test_templates_of_other_families_lack_nothing_but_what_is_listed():
    data = json.loads(DATA.read_text())

    assert len(data["node_types"]) == 59
    assert lacking(data["node_types"], data["node_types"]) <= LACKING
