"""`comfy.hooks`, and what packs ask of VAEs and devices only to know it."""

from typing import Any

import pytest

from nodegraph.workflow.read import read_prompt
from nodes.comfy.host_modules import host_module
from nodes.comfy.values.errors import NotOfferedError

PACK = """
import comfy.hooks
import comfy.model_management as management
import torch


class Masks:
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"cond": ("CONDITIONING",), "hooked": ("BOOLEAN", {"default": False})}}

    def run(self, cond, hooked):
        hooks = comfy.hooks.HookGroup()
        if hooked:
            hooks.add(object())
        mask, empty = torch.ones(8, 8), comfy.hooks.HookGroup.combine_all_hooks([None, hooks])
        (found,) = comfy.hooks.set_conds_props_and_combine(
            [cond], [cond], 0.5, "mask bounds", mask, empty, (0.2, 0.8)
        )
        return (found,)


class Reads:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"vae": ("VAE",)}}

    def run(self, vae):
        told = vae.downscale_index_formula, vae.output_channels, management.intermediate_dtype()
        return (f"{told} {management.is_device_xpu(vae.device)} {management.directml_enabled}",)


class Notes:
    RETURN_TYPES = ("CLIP", "STRING")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"clip": ("CLIP",)}}

    def run(self, clip):
        options = clip.clone().patcher.model_options
        changed = clip.clone()
        changed.patcher.model_options["toys"] = options.get("toys", 0) + 1
        return changed, f"{options} {changed.clone().patcher.model_options}"


NODE_CLASS_MAPPINGS = {"ToyMasks": Masks, "ToyReads": Reads, "ToyNotes": Notes}
"""


def entry(name: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": name, "inputs": inputs}


@pytest.fixture(scope="module")
def run(pack_engine):
    """A function that runs a node of the pack of these tests."""
    engine = pack_engine(PACK)
    graph = {
        "m": entry("CheckpointLoaderSimple", ckpt_name="demo-shapes.safetensors"),
        "noted": entry("ToyNotes", clip=["m", 1]),
        "layer": entry("CLIPSetLastLayer", clip=["noted", 0], stop_at_clip_layer=-1),
        "red": entry("CLIPTextEncode", text="a red circle", clip=["m", 1]),
    }

    def run_node(name, output=0, **inputs):
        prompt = read_prompt({**graph, "1": entry(name, **inputs)})
        return engine.run(prompt, targets=["1"]).outputs["1"][output]

    return run_node


def test_conditions_get_masks_and_times_of_comfy_hooks(run):
    first, second = run("ToyMasks", cond=["red", 0], hooked=False).conds

    assert (first.mask, first.start, first.end) == (None, 0.0, 1.0)
    assert (second.mask.shape, second.mask_strength, second.mask_bounds) == ((1, 8, 8), 0.5, True)
    assert (second.start, second.end) == (0.2, 0.8)
    assert "hooks" not in second.extras


def test_conditions_with_hooks_are_refused_and_not_ignored(run):
    with pytest.raises(NotOfferedError, match="hooks of a conditioning"):
        run("ToyMasks", cond=["red", 0], hooked=True)


def test_a_vae_for_images_has_no_formula_for_frames(run):
    assert run("ToyReads", vae=["m", 2]) == "(None, 3, torch.float32) False False"


def test_what_a_pack_keeps_with_a_clip_goes_from_node_to_node(run):
    assert run("ToyNotes", 1, clip=["m", 1]) == "{} {'toys': 1}"
    assert run("ToyNotes", 1, clip=["layer", 0]) == "{'toys': 1} {'toys': 2}"


def test_strengths_over_time_are_in_their_order():
    hooks = host_module("comfy.hooks")
    frames, group = hooks.HookKeyframeGroup(), hooks.HookGroup([type("Hook", (), {})()])
    for start in (0.5, 0.0):
        frames.add(hooks.HookKeyframe(strength=start, start_percent=start))
    group.set_keyframes_on_hooks(frames)
    both = hooks.HookGroup.combine_all_hooks([None, group, group.clone()])

    assert [each.start_percent for each in frames.clone().keyframes] == [0.0, 0.5]
    assert [each.hook_keyframe.keyframes for each in both.hooks] == [frames.keyframes]
    assert hooks.HookGroup.combine_all_hooks([None]) is None
    with pytest.raises(ValueError, match="2 groups of hooks"):
        hooks.HookGroup.combine_all_hooks([group], 2)
