"""Names of ComfyUI's that nothing stands in for."""

import pytest

from nodegraph.errors import PackError
from nodes.comfy.values.errors import NotOfferedError

PACK = """
import importlib
import torch
import comfy.ldm.modules.attention
import comfy.model_base as base
import latent_preview
from comfy import model_base, samplers
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy_extras.nodes_mask import MaskComposite, a_helper
from comfy.model_sampling import *
from comfy.sample import np
from nodes import init_extra_nodes
from server import web

assert np.uint32(4) == 4

for module in (samplers, samplers.k_diffusion_sampling):
    assert importlib.reload(module) is module
ops = comfy.ops.pick_operations(None, None)
if model_base.a_feature_is_enabled():
    import a_package_that_nobody_has


class Layer(ops.Linear, torch.nn.Module):
    pass


class Flow(CONST):
    pass


class Unet(UNetModel):
    SIZE = 4

    def __init__(self):
        super().__init__(self.SIZE)


@comfy.ldm.modules.attention.wrap_attn
def attention(q):
    return q


made = Unet()
choices = [each for each in samplers.CFGNoisePredictor] + ["own"]


def inputs(**more):
    return classmethod(lambda cls: {"required": {"x": ("INT", {"default": 1})}, **more})


class Node:
    INPUT_TYPES = inputs()
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"


class Plain(Node):
    def run(self, x):
        return (attention(x) + made.SIZE + (base.ModelType.EPS == model_base.ModelType.EPS),)


class Deep(Node):
    def run(self, x):
        return (Unet(),)


class Calls(Node):
    def run(self, x):
        return latent_preview.TAESD("auto")


class Composes(Node):
    RETURN_TYPES = ("STRING",)

    def run(self, x):
        return (f"{MaskComposite.__name__} {hasattr(Unet, 'CATEGORY')}",)


class Undeclared(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"x": (missing_name,)}}


kinds = (Plain, Deep, Calls, Composes, Undeclared)
NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in kinds}
"""


def test_a_pack_that_imports_absent_names_loses_only_the_nodes_that_use_them(import_pack):
    types = import_pack(PACK)

    assert sorted(types) == ["Calls", "Composes", "Deep", "Plain"]
    assert types["Plain"](x=2) == 7
    with pytest.raises(NotOfferedError, match=r"openaimodel\.UNetModel"):
        types["Deep"](x=2)
    with pytest.raises(NotOfferedError, match=r"latent_preview\.TAESD"):
        types["Calls"](x=2)


def test_classes_of_comfy_extras_are_imported_by_name(import_pack):
    assert import_pack(PACK)["Composes"](x=1) == "MaskComposite False"


@pytest.mark.parametrize("name", ["comfy.cmd", "comfy.multigpu"])
def test_modules_that_comfyui_never_had_are_not_there(import_pack, name):
    with pytest.raises(PackError, match=name):
        import_pack(f"import {name}\n")


def test_names_that_a_stand_in_lacks_are_absent_only_if_comfyui_has_them(import_pack):
    with pytest.raises(PackError, match="a_name_of_nobodys"):
        import_pack("from comfy.samplers import a_name_of_nobodys\n")
