"""Every node type that reads tensors makes on the simulated device what it makes on the CPU.

Once all that it gets lies on the device, as models make it, and once every second picture, latent
and mask lies on the host, as files give them.
"""

import json
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import pytest
from torch import Tensor

from nodegraph.execution.engine import Engine
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.packs.registry import Registry
from nodegraph.python.outputs import Out
from nodes.values import Latent
from tests.tiny_models.model_folder import write_models
from tests.tiny_models.workflows import Draft, write_picture

REGISTRY = Registry.load(["nodes"])
TENSORS = {"IMAGE", "LATENT", "MASK"}
SAMPLED = {"CONDITIONING", "MODEL", "GUIDER", "SAMPLER", "SIGMAS", "NOISE", "LATENT_OPERATION"}
"""Sockets whose values are compared by what a sampler makes of them."""
ELSEWHERE = {
    "CLIPTextEncodeControlnet", "CLIPTextEncodeFlux", "CLIPTextEncodeSD3", "CLIPTextEncodeSDXL",
    "CLIPTextEncodeSDXLRefiner", "ControlNetApply", "ControlNetApplyAdvanced",
    "ControlNetApplySD3", "ControlNetInpaintingAliMamaApply", "GLIGENTextBoxApply",
    "IPAdapterApply", "ImageUpscaleWithModel", "InpaintModelConditioning",
    "InstructPixToPixConditioning", "PhotoMakerEncode", "QwenImageDiffsynthControlnet",
    "ReferenceLatent", "StyleModelApply",
    "TextEncodeQwenImageEdit", "TextEncodeQwenImageEditPlus", "USOStyleReference",
    "ZImageFunControlnet", "unCLIPConditioning",
}  # fmt: skip
"""Node types that need a model of their own; `test_workflows` has most of them."""
OTHER_MODELS = {
    "ModelMergeFlux1", "ModelMergeSD2", "ModelMergeSD35_Large", "ModelMergeSD3_2B",
    "ModelMergeSDXL", "ModelSamplingAuraFlow", "ModelSamplingFlux", "ModelSamplingSD3",
    "QuantizeModel", "SkipLayerGuidanceDiT", "SkipLayerGuidanceDiTSimple",
    "SkipLayerGuidanceSD3", "TorchCompileModel", "UNetTemporalAttentionMultiply",
}  # fmt: skip
"""Changes to models of other families, and what needs a compiler or a package."""
INPUTS: Mapping[str, Any] = {
    "steps": 3, "tile_size": 64, "overlap": 16, "text": "a cat", "width": 64, "height": 64,
    "target_width": 96, "target_height": 64, "largest_size": 96, "megapixels": 0.01,
    "noise_seed": 4, "seed": 4, "layers": "0", "start_at_step": 1, "scale_by": 1.5,
}  # fmt: skip
"""What is given in place of defaults, by the name of the input."""
CUSTOM = ("noise", "guider", "sampler", "sigmas")
"""What a custom sampler takes."""
CHAOTIC = {"ImageQuantize", "Canny", "ThresholdMask", "ImageColorToMask"}
"""Node types whose results jump where the input changes in its last bits."""


def is_checked(spec: NodeSpec) -> bool:
    sockets = {each.socket for each in (*spec.inputs, *spec.outputs)}
    asks = any(each.model_folder or each.input_file for each in spec.inputs)
    makes = {each.socket for each in spec.outputs} & (TENSORS | SAMPLED)
    known = spec.name in ELSEWHERE | OTHER_MODELS
    return bool(makes and sockets & (TENSORS | SAMPLED)) and not (asks or known)


def cases():
    """Each type with all on the device, and with some on the host if it takes several tensors."""
    for name, spec in REGISTRY.catalog.items():
        if is_checked(spec):
            sockets = {each.socket for each in (*spec.inputs, *spec.outputs)}
            slow = bool(sockets & {*SAMPLED, "VAE"}) or name == "FluxKontextImageScale"
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(name, False, marks=marks, id=name)
            if sum(each.socket in TENSORS for each in spec.inputs if each.required) > 1:
                yield pytest.param(name, True, marks=marks, id=f"{name}-mixed")


class Bench(Draft):
    """A graph with one node that is looked at.

    Args:
        name: of its type.
        mixed: every second tensor that it gets lies on the host.
    """

    def __init__(self, name: str, *, mixed: bool) -> None:
        super().__init__(REGISTRY, "sd15", seed=1, steps=3)
        self.mixed, self.tensors = mixed, 0
        spec = REGISTRY.spec(name)
        inputs = {
            key: value
            for each in spec.inputs
            if each.required
            for key, value in self.values(each).items()
        }
        outputs = zip(self.g.node(name, inputs), spec.outputs, strict=True)
        self.shown = [
            self.looked_at(out, each.socket)
            for out, each in outputs
            if each.socket in TENSORS | SAMPLED
        ]

    def values(self, spec: InputSpec) -> dict[str, Any]:
        """An input's value by its key; those of a row, or of a choice and its own inputs."""
        if spec.row:
            keys = spec.row.names or [f"{spec.row.prefix}{n}" for n in range(spec.row.most)]
            return {
                f"{spec.name}.{key}": self.value(spec.row.item) for key in keys[: spec.row.least]
            }
        more = spec.branches[0].inputs if spec.branches else ()
        own = {
            f"{spec.name}.{key}": value
            for each in more
            if each.required
            for key, value in self.values(each).items()
        }
        return {spec.name: self.value(spec), **own}

    def value(self, spec: InputSpec) -> Any:
        if spec.name in INPUTS and spec.maximum != 1.0:
            return INPUTS[spec.name]
        if spec.has_default or spec.socket == "BOOLEAN":
            return spec.default if spec.has_default else False
        return spec.choices[0] if spec.choices else self.source(spec.socket)

    def source(self, socket: str) -> Out[Any]:
        """A value that a node takes there."""
        if socket in TENSORS:
            self.tensors += 1
            return self.tensor(socket, on_host=self.mixed and self.tensors % 2 == 0)
        parts = {"MODEL": self.model, "CLIP": self.clip, "VAE": self.vae}
        return parts[socket] if socket in parts else self.other(socket)

    def tensor(self, socket: str, *, on_host: bool) -> Out[Any]:
        if socket == "LATENT":
            return self.blank() if on_host else self.sample()
        made = self.picture() if on_host else self.g.VAEDecode(samples=self.sample(), vae=self.vae)
        return made if socket == "IMAGE" else self.g.ImageToMask(image=made, channel="red")

    def other(self, socket: str) -> Out[Any]:
        make: Mapping[str, Callable[[], Any]] = {
            "BOUNDING_BOX": lambda: self.g.CreateBoundingBoxes(width=64, height=64)[1],
            "VIDEO": lambda: self.g.CreateVideo(
                images=self.g.VAEDecode(samples=self.sample(), vae=self.vae), fps=8.0
            ),
            "CONDITIONING": lambda: self.text(f"cat {len(self.g.prompt())}"),
            "GUIDER": lambda: self.g.CFGGuider(
                model=self.model, cfg=3.0, positive=self.text(), negative=self.text("a dog")
            ),
            "LATENT_OPERATION": self.g.LatentOperationSharpen,
            "NOISE": lambda: self.g.RandomNoise(noise_seed=3),
            "SAMPLER": lambda: self.g.KSamplerSelect(sampler_name="euler"),
            "SIGMAS": lambda: self.g.BasicScheduler(model=self.model, scheduler="normal", steps=3),
        }
        return make[socket]()

    def looked_at(self, out: Out[Any], socket: str) -> Out[Any]:
        """A tensor that tells what the value is."""
        if socket in TENSORS:
            return out
        if socket == "MODEL":
            return self.sample(model=out)
        if socket == "CONDITIONING":
            return self.sample(out)
        if socket == "LATENT_OPERATION":
            return self.g.LatentApplyOperation(samples=self.sample(), operation=out)
        inputs = {name: self.other(name.upper()) for name in CUSTOM} | {socket.lower(): out}
        return self.g.node("SamplerCustomAdvanced", {"latent_image": self.blank(), **inputs})[0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    write_picture(root / "input")
    write_models(root / "models", json.dumps(["sd15.safetensors"]))
    return Folders((root / "models",), root / "input", root / "output", root / "temp")


@pytest.fixture(scope="module")
def engines(folders):
    """Those of the CPU and of the device."""
    return Engine(REGISTRY, Files(folders)), Engine(REGISTRY, Files(folders))


def run(engine: Engine, bench: Bench) -> list[Tensor]:
    targets = {out.node_id for out in bench.shown}
    outputs = engine.run(bench.g.plain(), targets=targets).outputs
    values: list[Any] = [outputs[out.node_id][out.index] for out in bench.shown]
    several = [each if isinstance(each, tuple) else (each,) for each in values]
    return [each.samples if isinstance(each, Latent) else each for each in chain(*several)]


@pytest.mark.parametrize(("name", "mixed"), list(cases()))
def test_a_node_makes_on_the_device_what_it_makes_on_the_cpu(simulated, engines, name, mixed):
    bench = Bench(name, mixed=mixed)
    simulated.switch(on=False)
    expected = run(engines[0], bench)
    simulated.switch(on=True)

    found = run(engines[1], bench)

    assert len(found) == len(expected) > 0
    for made, wanted in zip(found, expected, strict=True):
        assert made.shape == wanted.shape
        off = (made.cpu() - wanted).abs().max()
        assert name in CHAOTIC or off <= 1e-5 * wanted.abs().max()
