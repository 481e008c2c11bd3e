"""Nodes of the v3 schema: what they show and save, slots with further inputs, lists, async ones."""

from typing import Any

import pytest

from nodegraph.errors import NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt

PACK = """
import asyncio
import torch
from comfy_api import feature_flags
from comfy_api.latest import ComfyExtension, IO, UI, io, ui

assert IO is io and UI is ui and not feature_flags.supports_feature({}, None, "any")


def schema(name, *inputs, outputs=(), **more):
    return io.Schema(node_id=name, category="toys", inputs=list(inputs), outputs=list(outputs),
                     **more)


class Shows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("Shows", io.String.Input("how"), io.Image.Input("image"),
                      io.Audio.Input("audio"), is_output_node=True)

    @classmethod
    async def execute(cls, how, image, audio):
        await asyncio.sleep(0)
        save, sound = ui.ImageSaveHelper, ui.AudioSaveHelper
        shown = {
            "text": lambda: ui.PreviewText("words"),
            "image": lambda: ui.PreviewImage(image, cls=cls),
            "mask": lambda: ui.PreviewMask(image[..., 0], cls=cls),
            "audio": lambda: ui.PreviewAudio(audio, cls=cls),
            "video": lambda: ui.PreviewVideo(
                [ui.SavedResult("a.mp4", "deep", io.FolderType.output)]),
            "3d": lambda: ui.PreviewUI3D("a.glb", {"x": 1}),
            "saved": lambda: save.get_save_images_ui(image, "toys/picture", cls=cls),
            "kept": lambda: ui.SavedImages(
                save.save_images(image, "picture", io.FolderType.temp, cls)),
            "png": lambda: save.get_save_animated_png_ui(image, "moving", cls, 4.0, 1),
            "webp": lambda: save.get_save_animated_webp_ui(image, "moving", cls, 4.0, True, 80, 0),
            "flac": lambda: sound.get_save_audio_ui(audio, "sound", cls=cls),
            "opus": lambda: ui.SavedAudios(
                sound.save_audio(audio, "sound", io.FolderType.output, cls, "opus", "64k")),
            "plain": lambda: {"own": ("thing",)},
        }
        return io.NodeOutput(ui=shown[how]())


class Slot(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        further = [io.Int.Input("size", default=3), io.String.Input("name"),
                   io.Float.Input("share", optional=True)]
        return schema("Slot", io.Int.Input("first"),
                      io.DynamicSlot.Input(io.Image.Input("image"), further, tooltip="Linked."),
                      outputs=[io.String.Output()])

    @classmethod
    def execute(cls, first, image=None):
        if image is not None:
            image = {**image, "image": tuple(image["image"].shape)}
        return io.NodeOutput(f"{first} {image}")


class Lists(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("Lists", io.Int.Input("numbers"), is_input_list=True,
                      hidden=[io.Hidden.unique_id],
                      outputs=[io.Int.Output(is_output_list=True), io.String.Output()])

    @classmethod
    def execute(cls, numbers):
        return io.NodeOutput([n + 1 for n in numbers], f"{cls.hidden.unique_id} {len(numbers)}")


class Asks(io.ComfyNode):
    "Its callbacks are coroutines, and look at the hidden inputs."
    calls = 0

    @classmethod
    def define_schema(cls):
        return schema("Asks", io.Int.Input("a", lazy=True), io.Int.Input("b", lazy=True),
                      io.Boolean.Input("first"), hidden=[io.Hidden.prompt],
                      outputs=[io.Int.Output()])

    @classmethod
    async def check_lazy_status(cls, first, a=None, b=None):
        return ["a"] if first else ["b"]

    @classmethod
    async def validate_inputs(cls, first):
        return True if cls.hidden.unique_id is None else "it has an id"

    @classmethod
    async def fingerprint_inputs(cls, first, **more):
        Asks.calls += 1
        return Asks.calls if first else 0

    @classmethod
    async def execute(cls, first, a=None, b=None):
        return io.NodeOutput(a if first else b)


class Grows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("Grows", io.Int.Input("a"), outputs=[io.Int.Output()], enable_expand=True)

    @classmethod
    def execute(cls, a):
        if a > 3:
            return io.NodeOutput(block_execution="too large")
        grown = {"x": {"class_type": "PrimitiveInt", "inputs": {"value": a * 10}}}
        return io.NodeOutput(["x", 0], expand=grown)


class Toys(ComfyExtension):
    async def get_node_list(self):
        return [Shows, Slot, Lists, Asks, Grows]


async def comfy_entrypoint():
    return Toys()
"""


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


GRAPH = {
    "image": node("EmptyImage", width=16, height=8, batch_size=2, color=255),
    "audio": node("EmptyAudio", duration=0.1, sample_rate=44100, channels=2),
    "one": node("PrimitiveInt", value=1),
    "two": node("PrimitiveInt", value=2),
}


@pytest.fixture
def engine(import_pack, host_settings):
    ours = Registry.load(names=("nodes",))
    registry = Registry.from_types(*import_pack(PACK).values(), also=ours)
    return Engine(registry, host_settings.files(ours.model_places))


def run(engine, target="t", **nodes):
    return engine.run(read_prompt({**GRAPH, **nodes}), targets=[target])


def test_everything_that_a_node_shows_or_saves_is_shown(engine, host_settings):
    def shown(how):
        found = run(engine, t=node("Shows", how=how, image=["image", 0], audio=["audio", 0]))
        return found.ui["t"].as_dict()

    assert shown("text") == {"text": ["words"]}
    assert shown("plain") == {"own": ["thing"]}
    assert shown("3d") == {"result": ["a.glb", {"x": 1}, None]}
    assert shown("video") == {
        "images": [{"filename": "a.mp4", "subfolder": "deep", "type": "output"}],
        "animated": [True],
    }
    for how, key, count, folder, suffix in (
        ("image", "images", 2, "temp", ".png"),
        ("mask", "images", 2, "temp", ".png"),
        ("audio", "audio", 1, "temp", ".flac"),
        ("saved", "images", 2, "output", ".png"),
        ("kept", "images", 2, "temp", ".png"),
        ("png", "images", 1, "output", ".png"),
        ("webp", "images", 1, "output", ".webp"),
        ("flac", "audio", 1, "output", ".flac"),
        ("opus", "audio", 1, "output", ".opus"),
    ):
        told = shown(how)
        files = told[key]
        root = host_settings.output_dir if folder == "output" else host_settings.temp_dir
        assert [each["type"] for each in files] == [folder] * count, how
        assert all((root / each["subfolder"] / each["filename"]).is_file() for each in files), how
        assert all(each["filename"].endswith(suffix) for each in files), how
        assert ("animated" in told) is (how in ("png", "webp"))
    assert shown("saved")["images"][0]["subfolder"] == "toys"


def test_a_slot_brings_its_further_inputs_if_it_is_linked(engine):
    linked = {"image": ["image", 0], "image.name": "a"}
    cases = {
        "bare": {"first": 1},
        "unlinked": {"first": 1, "image.size": 7},
        "linked": {"first": 1, **linked},
        "all": {"first": 1, **linked, "image.size": 7, "image.share": 0.5},
    }
    told = {
        name: run(engine, t=node("Slot", **inputs)).outputs["t"][0]
        for name, inputs in cases.items()
    }

    assert told["bare"] == told["unlinked"] == "1 None"
    assert told["linked"] == "1 {'image': (2, 8, 16, 3), 'size': 3, 'name': 'a'}"
    assert told["all"] == "1 {'image': (2, 8, 16, 3), 'size': 7, 'name': 'a', 'share': 0.5}"
    with pytest.raises(NodeGraphError, match=r"'image\.name' is needed where 'image' is linked"):
        run(engine, t=node("Slot", first=1, image=["image", 0]))


def test_lists_go_in_and_out(engine):
    listed = node("CreateList", **{"inputs.input0": ["one", 0], "inputs.input1": ["two", 0]})
    outputs = run(engine, l=listed, t=node("Lists", numbers=["l", 0])).outputs["t"]

    assert outputs == ((2, 3), "t 2")


def test_callbacks_may_be_coroutines(engine):
    def asked(first):
        graph = {**GRAPH, "t": node("Asks", a=["one", 0], b=["two", 0], first=first)}
        found = engine.run(read_prompt(graph), targets=["t"])
        return found.outputs["t"][0], found.executed

    assert [asked(True), asked(False)] == [(1, 2), (2, 2)]
    assert [asked(True)[1], asked(False)[1]] == [1, 0]


def test_a_node_grows_to_others_or_blocks(engine):
    def grown(a):
        return run(engine, g=node("Grows", a=a), t=node("PreviewAny", source=["g", 0]))

    assert grown(3).ui["t"].as_dict() == {"text": ["30"]}
    assert "t" not in grown(4).ui
