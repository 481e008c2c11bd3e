"""Which of ComfyUI's image templates have only node types that are offered here."""

import json
from pathlib import Path

from nodegraph.registry import Registry

DATA = Path(__file__).parent.parent / "data" / "templates.json"
"""The node types of the 59 image templates of ComfyUI 0.3.64 that need no paid service, and which
39 of the templates are for Stable Diffusion and FLUX."""

LACKING = {
    "CLIPTextEncodeFlux",
    "DifferentialDiffusion",
    "EasyCache",
    "FluxGuidance",
    "FluxKontextImageScale",
    "FluxKontextMultiReferenceLatentMethod",
    "GLIGENLoader",
    "GLIGENTextBoxApply",
    "InpaintModelConditioning",
    "InstructPixToPixConditioning",
    "LoadImageOutput",
    "ReferenceLatent",
}
"""What those 39 use that may be lacking. Only ever take names away."""


def lacking(templates, catalog):
    """What each template uses that is not offered."""
    types = json.loads(DATA.read_text())["node_types"]
    return {name: {each for each in types[name] if each not in catalog} for name in templates}


def test_templates_use_nothing_that_is_lacking_but_what_is_listed():
    data = json.loads(DATA.read_text())
    found = lacking(data["sd_flux"], Registry.load(["nodes"]).catalog)

    assert len(found) == 39
    assert set().union(*found.values()) <= LACKING
