"""Packs to ComfyUI's host API, written for these tests."""

import sys
import textwrap
from contextlib import contextmanager

from nodegraph.packs.loading import import_types
from nodegraph.packs.routes import PackServer
from nodegraph.settings.settings import Settings
from nodes.comfy.discovery import packs_in


def write(folder, name, text, **files):
    """A pack: the text of its `__init__.py`, and more files by their stems."""
    root = folder / name
    root.mkdir(parents=True)
    (root / "__init__.py").write_text(textwrap.dedent(text))
    for stem, more in files.items():
        (root / f"{stem}.py").write_text(textwrap.dedent(more))
    return root


def settings_in(root):
    """Settings with folders of their own, all below one."""
    return Settings(
        custom_nodes_dir=root / "custom_nodes",
        packs_dir=root / "packs",
        cache_dir=root / "cache",
        output_dir=root / "output",
        temp_dir=root / "temp",
        input_dir=root / "input",
        models_dir=(root / "models",),
    )


@contextmanager
def imported(settings, text, name="toys", server=None):
    """The node types of a pack, by their names, imported by this process within the block."""
    finders = list(sys.meta_path)
    try:
        write(settings.custom_nodes_dir, name, text)
        packs_in(settings, server or PackServer())
        yield {each.spec.name: each for each in import_types(f"custom_nodes.{name}", name)}
    finally:
        sys.meta_path[:] = finders
        for found in [each for each in sys.modules if f"{each}.".startswith("custom_nodes.")]:
            del sys.modules[found]


TOYS = """
import copy
import importlib
import folder_paths
import comfy.samplers
import comfy.sample
import comfy.sd
import nodes
import comfy.utils
import node_helpers
from comfy_execution.graph_utils import GraphBuilder
from nodes import MAX_RESOLUTION, EmptyLatentImage, ImageScale, PreviewImage, VAEDecode, VAEEncode
from PIL import Image
from server import BinaryEventTypes, PromptServer
from .more import AnyType, Anything

any_type = AnyType("*")


class Arithmetic:
    DESCRIPTION = "Adds."
    CATEGORY = "toys"
    FUNCTION = "add"
    RETURN_TYPES = ("INT", "STRING")
    RETURN_NAMES = ("sum",)
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "a": ("INT", {"default": 1, "min": 0, "max": MAX_RESOLUTION, "display": "slider"}),
                "factor": ([1, 2, 4], {"default": 2}),
            },
            "optional": {"b": ("INT", {"default": 7})},
            "hidden": {"me": "UNIQUE_ID", "graph": "PROMPT", "image": "EXTRA_PNGINFO"},
        }

    def add(self, a, factor, b=100, me=None, graph=None, image=None):
        return a * factor + b, f"{me} of {len(graph)} {sorted(image)}"


class Files:
    CATEGORY = "toys"
    FUNCTION = "names"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        loras = folder_paths.get_filename_list("loras")
        samplers = comfy.samplers.KSampler.SAMPLERS
        return {"required": {"lora": (["None"] + loras,), "sampler": (samplers,)}}

    def names(self, lora, sampler):
        path = folder_paths.get_full_path("loras", lora)
        return (f"{lora} {path is not None} {sampler}",)


class Wild:
    CATEGORY = "toys"
    FUNCTION = "give"
    RETURN_TYPES = (any_type,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": Anything(any_type)}

    def give(self, **given):
        return (", ".join(f"{key}={value}" for key, value in sorted(given.items())),)


class Lists:
    CATEGORY = "toys"
    FUNCTION = "numbers"
    RETURN_TYPES = ("INT",)
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 3})}}

    def numbers(self, count):
        return (list(range(count)),)


class Total:
    CATEGORY = "toys"
    FUNCTION = "total"
    RETURN_TYPES = ("INT",)
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls):
        numbers = ("INT", {"forceInput": True})
        return {"required": {"numbers": numbers}, "hidden": {"me": "UNIQUE_ID"}}

    def total(self, numbers, me):
        assert isinstance(me, list)
        return (sum(numbers),)


class Choose:
    CATEGORY = "toys"
    FUNCTION = "choose"
    RETURN_TYPES = (any_type,)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"first": ("BOOLEAN", {"default": True})},
            "optional": {"one": (any_type, {"lazy": True}), "two": (any_type, {"lazy": True})},
        }

    def check_lazy_status(self, first, one=None, two=None):
        return ["one" if first else "two"]

    def choose(self, first, one=None, two=None):
        return (one if first else two,)


class Boom:
    CATEGORY = "toys"
    FUNCTION = "boom"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def boom(self):
        raise RuntimeError("never to be computed")


class Shows:
    CATEGORY = "toys"
    FUNCTION = "show"
    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "hello"})}}

    async def show(self, text):
        comfy.utils.ProgressBar(4).update(3)
        server = PromptServer.instance
        told = {"text": text, "client": server.client_id, "node": server.last_node_id}
        server.send_sync("toys.shown", told, server.client_id)
        picture = Image.new("RGB", (64, 32), "red")
        server.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, ("JPEG", picture, 16))
        server.send_sync(BinaryEventTypes.PREVIEW_IMAGE, (2).to_bytes(4, "big") + b"a PNG")
        return {"ui": {"text": (text,)}, "result": (text.upper(),)}


class Grows:
    CATEGORY = "toys"
    FUNCTION = "grow"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"default": 5})}}

    def grow(self, a):
        graph = GraphBuilder()
        doubled = graph.node("ToyArithmetic", a=a, factor=2, b=0)
        more = graph.node("ToyArithmetic", a=doubled.out(0), factor=1, b=1)
        return {"result": (more.out(0),), "expand": graph.finalize()}


class Picky:
    CATEGORY = "toys"
    FUNCTION = "count"
    RETURN_TYPES = ("INT",)
    calls = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"kind": (["a", "b"],), "state": ("STRING", {"default": "x"})}}

    @classmethod
    def VALIDATE_INPUTS(cls, kind):
        if kind == "slow":
            import time
            time.sleep(60)
        return True if kind != "bad" else "kind must not be bad"

    @classmethod
    def IS_CHANGED(cls, kind, state):
        return float("nan") if state == "always" else 1

    def count(self, kind, state):
        Picky.calls += 1
        return (Picky.calls,)


class Latents:
    CATEGORY = "toys"
    FUNCTION = "mark"
    RETURN_TYPES = ("LATENT", "CONDITIONING")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",), "conditioning": ("CONDITIONING",)}}

    def mark(self, latent, conditioning):
        latent["samples"] += 1.0
        latent["mark"] = "by a toy"
        more = {"mark": "by a toy", "strength": 0.5}
        return latent, node_helpers.conditioning_set_values(conditioning, more)


class Reads:
    CATEGORY = "toys"
    FUNCTION = "read"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",), "conditioning": ("CONDITIONING",)}}

    def read(self, latent, conditioning):
        told = conditioning[0][1]
        largest = float(latent["samples"].max())
        return (f"{latent['mark']} {told['mark']} {told['strength']} {largest}",)


class Borrows:
    CATEGORY = "toys"
    FUNCTION = "borrow"
    RETURN_TYPES = ("IMAGE", "LATENT")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"vae": ("VAE",), "method": (ImageScale.upscale_methods,)}}

    def borrow(self, vae, method):
        (latent,) = EmptyLatentImage().generate(64, 64)
        (image,) = VAEDecode().decode(vae, latent)
        (small,) = ImageScale().upscale(image, method, 32, 32, "disabled")
        (encoded,) = importlib.import_module("nodes").VAEEncode().encode(vae, small)
        return small, encoded


class Previews(PreviewImage):
    CATEGORY = "toys"


class Guides:
    CATEGORY = "toys"
    FUNCTION = "patch"
    RETURN_TYPES = ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "sharp": ("FLOAT", {"default": 1.0})}}

    def patch(self, model, sharp):
        def combine(args):
            assert len(model.model.model_sampling.timestep(args["sigma"])) == 1
            return sharp * (args["uncond"] + (args["cond"] - args["uncond"]) * args["cond_scale"])

        patched = model.clone()
        patched.set_model_sampler_cfg_function(combine)
        patched = copy.deepcopy(patched)
        patched.set_model_sampler_pre_cfg_function(lambda args: [x + 1 for x in args["conds_out"]])
        patched.set_model_sampler_post_cfg_function(lambda args: args["denoised"] - 1)
        return (patched,)


class Inside:
    CATEGORY = "toys"
    FUNCTION = "patch"
    RETURN_TYPES = ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def patch(self, model):
        assert hasattr(model, "set_model_double_block_patch")
        patched = model.clone()
        patched.set_model_double_block_patch(print)
        return (patched,)


class Samples:
    CATEGORY = "toys"
    FUNCTION = "sample"
    RETURN_TYPES = ("LATENT", "LATENT", "LATENT")

    @classmethod
    def INPUT_TYPES(cls):
        names = ("model", "cond", "latent")
        types = ("MODEL", "CONDITIONING", "LATENT")
        return {"required": {key: (kind,) for key, kind in zip(names, types)} | {
            "strange": ("BOOLEAN", {"default": False}),
        }}

    def sample(self, model, cond, latent, strange):
        start = latent["samples"]
        noise = comfy.sample.prepare_noise(start, 3) * (2 if strange else 1)
        levels = comfy.samplers.calculate_sigmas(model.model.model_sampling, "karras", 2)
        euler = comfy.samplers.sampler_object("euler")
        pair = (cond, cond, start)
        plain = comfy.sample.sample(model, noise, 2, 3.0, "euler", "karras", *pair, seed=3)
        custom = comfy.sample.sample_custom(model, noise, 3.0, euler, levels, *pair, seed=3)
        (node,) = nodes.KSampler().sample(model, 3, 2, 3.0, "euler", "karras", cond, cond, latent)
        return {"samples": plain}, {"samples": custom}, node


class Loads:
    CATEGORY = "toys"
    FUNCTION = "load"
    RETURN_TYPES = ("MODEL", "STRING")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": ("STRING", {"default": ""})}}

    def load(self, file):
        path = folder_paths.get_full_path("checkpoints", file) or file
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(path, output_vae=False)
        return model, f"{clip is not None} {vae}"


@PromptServer.instance.routes.get("/toys/hello/{name}")
async def hello(request):
    from aiohttp import web

    told = {"authorization", "cookie"} & {name.lower() for name in request.headers}
    return web.json_response({"hello": request.match_info["name"], "told": sorted(told)})


WEB_DIRECTORY = "./web"
NODE_CLASS_MAPPINGS = {
    f"Toy{kind.__name__}": kind
    for kind in (
        Arithmetic, Files, Wild, Lists, Total, Choose, Boom, Shows, Grows, Picky, Latents,
        Reads, Borrows, Previews, Guides, Inside, Loads, Samples,
    )
}
NODE_DISPLAY_NAME_MAPPINGS = {"ToyArithmetic": "Arithmetic of a toy"}
"""

MORE = """
class AnyType(str):
    def __ne__(self, other):
        return False


class Anything(dict):
    def __init__(self, kind):
        self.kind = kind

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return (self.kind,)
"""


def toys(folder):
    """The pack that works."""
    root = write(folder, "toy-pack 1.0", TOYS, more=MORE)
    (root / "web").mkdir()
    (root / "web" / "toys.js").write_text("// a toy's script\n")
    return root


CLASH = """
class Mine:
    CATEGORY = "toys"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return (42,)

NODE_CLASS_MAPPINGS = {"KSampler": Mine, "OnlyMine": Mine}
"""

ASKED = """
import os
import nodes
from server import PromptServer


class Node:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "toys"
    OUTPUT_NODE = True

    def run(self, **given):
        return {"ui": {"text": [repr(sorted(given.items()))]}, "result": ("text",)}


class AskedBelowFive(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"x": ("INT", {"default": 1})}}

    @classmethod
    def VALIDATE_INPUTS(cls, x):
        return x < 5 or f"{x} is too many"


class AskedForTypes(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT,FLOAT",)}, "optional": {"b": ("INT",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types, b=7):
        return (input_types, b) == ({"a": "STRING"}, 7) or repr((input_types, b))


class AskedBroken(Node):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": cls.nothing}


def populate(request):
    for node in request["prompt"].values():
        if node["inputs"].get("text") == "fail":
            raise ValueError("no")
        if node["inputs"].get("text") == "spoil":
            return {"prompt": 3}
        if node["inputs"].get("text") == "WORD":
            node["inputs"]["text"] = "populated"
            PromptServer.instance.send_sync("toys.populated", {"for": request["client_id"]})
    request["extra_data"]["seen"] = True
    return request


PromptServer.instance.add_on_prompt_handler(populate)
PromptServer.instance.routes.static("/asked/files", os.path.dirname(__file__))
nodes.EXTENSION_WEB_DIRS["asked-elsewhere"] = os.path.dirname(__file__) + "/scripts"
NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in (AskedBelowFive, AskedForTypes, AskedBroken)}
"""
"""A pack that is asked about prompts before they are queued."""
BROKEN = {
    "syntax": "def broken(:\n",
    "exits": "import os\nos._exit(0)\n",
    "patches": """
        import torch
        torch.nn.functional.silu = lambda x, inplace=False: x
        NODE_CLASS_MAPPINGS = {}
        """,
    "missing": "import a_package_that_nobody_has\n",
    "deep": "import comfy.a_part_that_it_never_had\n",
}
"""What is wrong with a pack, by its name."""

SCHEMAS = """
from typing_extensions import override
from comfy_api.latest import ComfyExtension, io, ui


class Scale(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SchemaScale",
            display_name="Scale",
            category="toys/v3",
            description="Multiplies.",
            inputs=[
                io.Image.Input("image"),
                io.Float.Input("factor", default=2.0, min=0.0, max=4.0, step=0.5),
                io.Combo.Input("mode", options=["times", "over"]),
                io.Int.Input(
                    "repeat", default=1, optional=True, display_mode=io.NumberDisplay.slider
                ),
                io.Custom("TOY").Input("toy", optional=True),
            ],
            outputs=[io.Image.Output(), io.String.Output(display_name="told")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, factor):
        return "factor must not be 3" if factor == 3.0 else True

    @classmethod
    async def execute(cls, image, factor, mode, repeat=1, toy=None):
        scaled = image * factor if mode == "times" else image / factor
        return io.NodeOutput(scaled, f"{cls.hidden.unique_id} {repeat}", ui=ui.PreviewText(mode))


class Pick(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SchemaPick",
            inputs=[
                io.Boolean.Input("first", default=True),
                io.AnyType.Input("one", lazy=True),
                io.MultiType.Input("two", types=[io.Int, io.Float], lazy=True),
            ],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    def check_lazy_status(cls, first, one=None, two=None):
        return ["one"] if first else ["two"]

    @classmethod
    def execute(cls, first, one=None, two=None):
        return io.NodeOutput(one if first else two)


class Stop(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SchemaStop",
            inputs=[io.Boolean.Input("stop", default=True)],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def execute(cls, stop):
        return io.NodeOutput(block_execution="that is enough") if stop else io.NodeOutput(5)


class Extension(ComfyExtension):
    @override
    async def get_node_list(self):
        return [Scale, Pick, Stop]


async def comfy_entrypoint():
    return Extension()
"""

ASKS = """
import nodes

seen = [name in nodes.NODE_CLASS_MAPPINGS for name in ("ToyTwice", "ToyAsks")]


class Asks:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {"default": ""})}}

    def run(self, name):
        classes = nodes.NODE_CLASS_MAPPINGS
        if not name:
            here = "ToyTwice" in classes, "ToyTwice" in list(classes), "ToyNone" in classes
            return (f"{here} {classes.get('ToyNone')} {seen}",)
        return (f"{classes[name]().run(21)}",)


NODE_CLASS_MAPPINGS = {"ToyAsks": Asks}
"""

TWICE = """
import nodes

seen = "ToyAsks" in nodes.NODE_CLASS_MAPPINGS, "ToyTwice" in nodes.NODE_CLASS_MAPPINGS


class Twice:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"x": ("INT", {"default": 1})}}

    def run(self, x):
        return (2 * x, seen)


class Basic(Twice):
    def run(self, x):
        return ("the pack's own",)


NODE_CLASS_MAPPINGS = {"ToyTwice": Twice, "ToBasicPipe": Basic}
"""

FAILS = """
import sys

if "custom_nodes.asks" in sys.modules:
    raise RuntimeError("not beside others")
fails = type("Fails", (), {"INPUT_TYPES": lambda: {}, "FUNCTION": "run"})
NODE_CLASS_MAPPINGS = {"ToyFails": fails}
"""

LOOKING = {"asks": ASKS, "twice": TWICE, "fails": FAILS}
"""Packs that look for each other's classes, by their names."""
