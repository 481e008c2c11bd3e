"""Node types as editors and clients see them, against ComfyUI's own description."""

import json
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph.definition.markers import Choices, InputFile, Lazy, ModelFile, Step
from nodegraph.definition.node import node
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.comparison import compare
from nodegraph.packs.object_info import object_info
from nodegraph.packs.registry import Registry

DATA = Path(__file__).parent.parent / "data" / "object_info.json"
OWN = {
    "BatchPrompt",
    "LoopIterations",
    "LoopOutputs",
    "GuidanceSchedule",
    "IPAdapterApply",
    "IPAdapterLoader",
    "SafetyChecker",
    "QuantizeModel",
}
"""Node types that ComfyUI does not have."""
NEWER = {
    "BatchImagesNode",
    "BuildJsonPromptIdeogram",
    "CFGOverride",
    "CameraAngle",
    "ColorToRGBInt",
    "ComfyMathExpression",
    "ComfyNumberConvert",
    "ComfySwitchNode",
    "ConditioningLoader",
    "ConvertArrayToString",
    "ConvertDictionaryToString",
    "CreateBoundingBoxes",
    "CreateList",
    "CurveEditor",
    "CustomCombo",
    "DrawBBoxes",
    "DualModelGuider",
    "EmptyFlux2LatentImage",
    "EmptyQwenImageLayeredLatentImage",
    "EndLoop",
    "Flux2Scheduler",
    "Flux3LayoutPrompt",
    "FluxKVCache",
    "GetItemFromList",
    "ImageCompare",
    "ImageHistogram",
    "JsonExtractString",
    "LatentCutToBatch",
    "ManualSigmas",
    "MarigoldV2PostProcess",
    "ModelAttentionBackend",
    "Painter",
    "QwenImage21Cache",
    "ReferenceMultiLatent",
    "ResizeImageMaskNode",
    "ResolutionSelector",
    "SamplerLCM",
    "SaveImageAdvanced",
    "SeedNode",
    "StartLoop",
    "StringFormat",
    "TextEncodeQwenImage21",
    "TextGenerate",
    "ZImageFunControlnet",
}
"""Those of later versions than the description."""
OUTPUTS = {
    "MaskPreview": ("mask", "MASK"),
    "PreviewAny": ("STRING", "STRING"),
    "PreviewImage": ("images", "IMAGE"),
    "SaveImage": ("images", "IMAGE"),
}
LARGER = {
    "CLIPLoader: input 'type' has besides flux2, flux3, krea2, longcat_image",
    "CFGNorm: optional inputs pre_cfg, not none",
    (
        "FluxKontextMultiReferenceLatentMethod: input 'reference_latents_method' has besides "
        "index_timestep_zero"
    ),
    "QwenImageDiffsynthControlnet: optional inputs mask, start_percent, end_percent, not mask",
    (
        "ImageFromBatch: input 'batch_index' is {'default': 0, 'min': -4096, 'max': 4095}, "
        "not {'default': 0, 'min': 0, 'max': 4095}"
    ),
    *(f"{name}: output is {[kind]}, not []" for name, (_, kind) in OUTPUTS.items()),
    *(f"{name}: output_name is {[label]}, not []" for name, (label, _) in OUTPUTS.items()),
    *(f"{name}: output_is_list is [False], not []" for name in OUTPUTS),
}
"""What later versions have besides."""
SMALLER = {
    "OptimalStepsScheduler: input 'model_type' lacks Wan, Chroma",
    "SamplerEulerCFGpp: input 'version' lacks alternative",
}
"""Where we offer a part of ComfyUI's choices."""


def files(root):
    return Files(Folders.under(root))


def test_every_node_type_looks_as_in_comfyui(tmp_path):
    known = json.loads(DATA.read_text())
    catalog = Registry.load(["nodes"]).catalog

    found = compare(catalog, known, files(tmp_path))

    lines = {f"{name}: {line}" for name, lines in found.different.items() for line in lines}
    stand_ins = {name for name, spec in catalog.items() if spec.gives_way}
    assert set(found.own) == OWN | NEWER | stand_ins
    assert lines == SMALLER | LARGER


def test_every_node_type_says_what_it_does(tmp_path):
    for spec in Registry.load(["nodes"]).catalog.values():
        described = object_info(spec, files(tmp_path))["description"]

        assert isinstance(described, str)
        assert described.endswith("."), spec.name
        assert len(described) > 10, spec.name


class Parts(NamedTuple):
    model: int
    weight: float


@node("Toy", category="toys", display_name="A toy", hidden=("prompt",), output_node=True)
def toy(
    name: Annotated[str, ModelFile("loras")],
    picture: Annotated[str, InputFile("image_upload", (".png",))],
    mode: Annotated[str, Choices(("a", "b"))] = "b",
    amount: Annotated[int, Field(ge=1, le=4), Step(2)] = 1,
    later: Annotated[float, Lazy()] | None = None,
) -> Parts:
    """Nothing of use."""
    return Parts(len(name + picture + mode), amount + (later or 0))


def test_an_entry_lists_the_files_there_are_now(tmp_path):
    for path in ("models/loras/style.safetensors", "input/cat.png", "input/notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    info = object_info(toy.spec, files(tmp_path))

    assert info["input"] == {
        "required": {
            "name": [["style.safetensors"], {}],
            "picture": [["cat.png"], {"image_upload": True}],
            "mode": [["a", "b"], {"default": "b"}],
            "amount": ["INT", {"default": 1, "min": 1, "max": 4, "step": 2}],
        },
        "optional": {"later": ["FLOAT", {"lazy": True}]},
        "hidden": {"prompt": "PROMPT"},
    }
    assert info["input_order"] == {
        "required": ["name", "picture", "mode", "amount"],
        "optional": ["later"],
        "hidden": ["prompt"],
    }


def test_an_entry_names_the_node_its_outputs_and_its_help(tmp_path):
    info = object_info(toy.spec, files(tmp_path))

    assert [info["output"], info["output_name"]] == [["INT", "FLOAT"], ["model", "weight"]]
    assert (info["name"], info["display_name"], info["category"]) == ("Toy", "A toy", "toys")
    assert (info["description"], info["output_node"]) == ("Nothing of use.", True)
    json.dumps(info)
