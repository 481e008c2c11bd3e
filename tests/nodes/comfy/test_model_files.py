"""Tensors of model files that packs load, and make LoRAs and upscale models of."""

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt
from tests.nodes.comfy import packs
from tests.tiny_models.upscalers import esrgan

PACK = """
import comfy.sd
import comfy.utils
import folder_paths
from comfy_extras.chainner_models import model_loading


class Node:
    RETURN_TYPES = ("MODEL", "CLIP")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        names = {"model": ("MODEL",), "clip": ("CLIP",), "spoil": ("BOOLEAN", {"default": False})}
        return {"required": names}

    def run(self, model, clip, spoil):
        path = folder_paths.get_full_path("loras", "demo-outline-lora.safetensors")
        lora = comfy.utils.load_torch_file(path, safe_load=True)
        if spoil:
            next(iter(lora.values())).mul_(2)
        alone, nothing = comfy.sd.load_lora_for_models(model, None, lora, 0.8, 0)
        assert nothing is None
        return comfy.sd.load_lora_for_models(alone, clip, lora, 0.0, 0.5)


class Upscales:
    RETURN_TYPES = ("UPSCALE_MODEL", "IMAGE")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image):
        path = folder_paths.get_full_path("upscale_models", "tiny.safetensors")
        model = model_loading.load_state_dict(comfy.utils.load_torch_file(path)).eval().to("cpu")
        pixels = image.movedim(-1, -3)
        tiled = comfy.utils.tiled_scale(
            pixels, lambda tile: model(tile.float()), 64, 64, 8, upscale_amount=model.scale
        )
        return model, tiled.movedim(-3, -1).clamp(0, 1)


NODE_CLASS_MAPPINGS = {"ToyLora": Node, "ToyUpscales": Upscales}
"""


def entry(name, /, **inputs):
    return {"class_type": name, "inputs": inputs}


LOADER = entry("CheckpointLoaderSimple", ckpt_name="demo-shapes.safetensors")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    root = tmp_path_factory.mktemp("host")
    packs.write(root / "custom_nodes", "toys", PACK)
    (root / "models" / "upscale_models").mkdir(parents=True)
    save_file(esrgan(), root / "models" / "upscale_models" / "tiny.safetensors")
    settings = packs.settings_in(root)
    registry = Registry.from_settings(settings)
    return Engine(registry, settings.files(registry.model_places))


def run(engine, *targets, **nodes):
    outputs = engine.run(read_prompt(nodes), targets=list(targets)).outputs
    return [outputs[name] for name in targets]


def test_a_pack_applies_a_lora_whose_tensors_it_has_loaded(engine):
    name = {"lora_name": "demo-outline-lora.safetensors"}
    nodes = {
        "model": LOADER,
        "alone": entry("LoraLoaderModelOnly", model=["model", 0], strength_model=0.8, **name),
        "ours": entry("LoraLoader", model=["alone", 0], clip=["model", 1], strength_model=0.0,
                      strength_clip=0.5, **name),
        "theirs": entry("ToyLora", model=["model", 0], clip=["model", 1], spoil=False),
    }  # fmt: skip
    ours, theirs = run(engine, "ours", "theirs", **nodes)

    assert tuple(theirs) == tuple(ours)
    nodes["theirs"] = entry("ToyLora", model=["model", 0], clip=["model", 1], spoil=True)
    (spoilt,) = run(engine, "theirs", **nodes)
    assert spoilt[0] != ours[0]
    assert len(spoilt[0].patches) == 1


def test_a_pack_calls_an_upscale_model_whose_tensors_it_has_loaded(engine):
    nodes = {
        "image": entry("EmptyImage", width=16, height=16, batch_size=1, color=0x336699),
        "theirs": entry("ToyUpscales", image=["image", 0]),
        "ours": entry("ImageUpscaleWithModel", upscale_model=["theirs", 0], image=["image", 0]),
    }
    (ours,), (model, theirs) = run(engine, "ours", "theirs", **nodes)

    assert model.scale == theirs.shape[1] // 16 > 1
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)
