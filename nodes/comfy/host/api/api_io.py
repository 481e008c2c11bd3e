"""`comfy_api.latest.io`: the types of sockets in the v3 contract."""

from collections.abc import Callable
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, ClassVar

from nodes.comfy.host.api import schema
from nodes.comfy.host.api.dynamic import Autogrow as Autogrow
from nodes.comfy.host.api.dynamic import DynamicCombo as DynamicCombo
from nodes.comfy.host.api.dynamic import DynamicSlot as DynamicSlot
from nodes.comfy.host.api.dynamic import MatchType as MatchType
from nodes.comfy.host.api.node import ComfyNode as ComfyNode
from nodes.comfy.host.api.node import NodeOutput as NodeOutput
from nodes.comfy.host.api.schema import Hidden as Hidden
from nodes.comfy.host.api.schema import Schema as Schema
from nodes.comfy.values.errors import NotOfferedError


class NumberDisplay(StrEnum):
    """The widget of a number."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(StrEnum):
    """The change of a number after each run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class FolderType(StrEnum):
    """A folder of files."""

    input = "input"
    output = "output"
    temp = "temp"


class UploadType(StrEnum):
    """The kind of file that may be uploaded."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class ComfyType:
    """A socket type; its `Input` and `Output` declare an input or output of it."""

    io_type: ClassVar[str] = "*"
    Type: ClassVar[Any] = Any
    Input: ClassVar[type[schema.Input]] = schema.Input
    Output: ClassVar[type[schema.Output]] = schema.Output

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _tie(cls, cls.io_type)


ComfyTypeIO = ComfyType
WidgetInput = Input = schema.Input
Output = schema.Output


def _tie(cls: Any, name: str) -> None:
    """Give a type its own `Input` and `Output`."""
    base_input, base_output = cls.Input, cls.Output

    class TiedInput(base_input):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            if self.type_name == "*":
                self.type_name = name

    class TiedOutput(base_output):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.type_name = name

    cls.Input, cls.Output = TiedInput, TiedOutput


def comfytype(io_type: str, **_more: Any) -> Callable[[Any], Any]:
    """Make a class a socket type."""

    def declare(cls: Any) -> Any:
        cls.io_type = io_type
        for name, base in (("Input", schema.Input), ("Output", schema.Output)):
            if not hasattr(cls, name):
                setattr(cls, name, base)
        _tie(cls, io_type)
        return cls

    return declare


def Custom(io_type: str) -> type[ComfyType]:
    """Make a socket type for a pack."""
    return type(io_type, (ComfyType,), {"io_type": io_type})


class ComboInput(schema.Input):
    """A choice."""

    def __init__(
        self,
        id: str,
        options: Any = None,
        display_name: str | None = None,
        optional: bool = False,
        *,
        upload: UploadType | None = None,
        image_folder: FolderType | None = None,
        **more: Any,
    ) -> None:
        if upload:
            more[upload.value] = True
        super().__init__(id, display_name, optional, image_folder=image_folder, **more)
        self.type_name = schema.combo(options or [])


class Combo(ComfyType):
    """A choice out of a list."""

    io_type = "COMBO"
    Input = ComboInput


class MultiCombo(ComfyType):
    """Several choices out of a list."""

    io_type = "COMBO"

    class Input(ComboInput):
        """An input for several choices."""

        def __init__(self, id: str, options: Any = None, **more: Any) -> None:
            super().__init__(id, options, **more, multi_select=True)
            self.options["options"] = self.type_name
            self.type_name = "COMBO"


class MultiType:
    """One of several types."""

    class Input(schema.Input):
        """An input of several types; the first one may add its widget."""

        def __init__(self, id: Any, types: Any = (), **more: Any) -> None:
            first = id if isinstance(id, schema.Input) else None
            super().__init__(first.id if first else str(id), **more)
            if first:
                self.options = first.options | self.options
                self.optional = self.optional or first.optional
            names = [first.type_name] if first else []
            self.type_name = ",".join(dict.fromkeys([*names, *(kind.io_type for kind in types)]))


def _refusing_type(name: str) -> Any:
    def refuse(*_args: Any, **_more: Any) -> Any:
        what = f"io.{name}"
        raise NotOfferedError(what)

    kinds = ("Input", "Output", "Option", "TemplatePrefix", "TemplateNames")
    return SimpleNamespace(io_type=name.upper(), Type=Any, **dict.fromkeys(kinds, refuse))


def __getattr__(name: str) -> Any:
    """Return a type that nothing here knows: a node type that declares an input of it is refused.

    Raises:
        AttributeError: it is not the name of a type.
    """
    if not name[0].isupper():
        raise AttributeError(name)
    return _refusing_type(name)


_TYPES = {
    "Int": "INT",
    "Float": "FLOAT",
    "String": "STRING",
    "Boolean": "BOOLEAN",
    "AnyType": "*",
    "Clip": "CLIP",
    "Vae": "VAE",
    "Audio": "AUDIO",
    "Video": "VIDEO",
    "ClipVision": "CLIP_VISION",
    "ClipVisionOutput": "CLIP_VISION_OUTPUT",
    "ControlNet": "CONTROL_NET",
    "StyleModel": "STYLE_MODEL",
    "UpscaleModel": "UPSCALE_MODEL",
    "LatentUpscaleModel": "LATENT_UPSCALE_MODEL",
    "ModelPatch": "MODEL_PATCH",
    "FaceAnalysis": "FACE_ANALYSIS",
    "LoraModel": "LORA_MODEL",
    "LossMap": "LOSS_MAP",
    "Accumulation": "ACCUMULATION",
    "BBOX": "BBOX",
    "SEGS": "SEGS",
    "SVG": "SVG",
    "AudioEncoder": "AUDIO_ENCODER",
    "AudioEncoderOutput": "AUDIO_ENCODER_OUTPUT",
    "BoundingBox": "BOUNDING_BOX",
    "FlowControl": "FLOW_CONTROL",
    "HookKeyframes": "HOOK_KEYFRAMES",
    "LatentOperation": "LATENT_OPERATION",
    "Load3D": "LOAD_3D",
    "Load3DAnimation": "LOAD_3D_ANIMATION",
    "Load3DCamera": "LOAD3D_CAMERA",
    "TimestepsRange": "TIMESTEPS_RANGE",
    "WanCameraEmbedding": "WAN_CAMERA_EMBEDDING",
}
_SAME = "Image Mask Latent Conditioning Model Sampler Sigmas Noise Guider Gligen Hooks Mesh Voxel"
_MORE = "Point Webcam Photomaker Color Curve Tracks Trajectory Range Histogram"
for _name in [*_TYPES, *_SAME.split(), *_MORE.split()]:
    globals()[_name] = Custom(_TYPES.get(_name, _name.upper()))
