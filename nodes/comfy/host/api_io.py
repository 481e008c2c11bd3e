"""`comfy_api.latest.io`: types, and the class that nodes of the v3 contract derive from."""

from collections.abc import Callable
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, ClassVar

from nodes.comfy.blocking import ExecutionBlocker
from nodes.comfy.errors import NotOfferedError
from nodes.comfy.host import api_schema
from nodes.comfy.host.api_schema import Hidden as Hidden
from nodes.comfy.host.api_schema import Schema as Schema


class NumberDisplay(StrEnum):
    """How a number is shown."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(StrEnum):
    """What becomes of a number after a run."""

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
    """What may be uploaded."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class ComfyType:
    """A socket type; `Input` and `Output` declare one of it."""

    io_type: ClassVar[str] = "*"
    Type: ClassVar[Any] = Any
    Input: ClassVar[type[api_schema.Input]] = api_schema.Input
    Output: ClassVar[type[api_schema.Output]] = api_schema.Output

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _tie(cls, cls.io_type)


ComfyTypeIO = ComfyType
WidgetInput = Input = api_schema.Input
Output = api_schema.Output


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
    """Makes a class a socket type."""

    def declare(cls: Any) -> Any:
        cls.io_type = io_type
        for name, base in (("Input", api_schema.Input), ("Output", api_schema.Output)):
            if not hasattr(cls, name):
                setattr(cls, name, base)
        _tie(cls, io_type)
        return cls

    return declare


def Custom(io_type: str) -> type[ComfyType]:
    """A socket type of a pack's own."""
    return type(io_type, (ComfyType,), {"io_type": io_type})


class ComboInput(api_schema.Input):
    """A choice."""

    def __init__(
        self,
        id: str,
        options: Any = None,
        upload: UploadType | None = None,
        image_folder: FolderType | None = None,
        **more: Any,
    ) -> None:
        if upload:
            more[upload.value] = True
        super().__init__(id, image_folder=image_folder, **more)
        self.type_name = api_schema.combo(options or [])


class Combo(ComfyType):
    """A choice out of a list."""

    io_type = "COMBO"
    Input = ComboInput


class MultiCombo(ComfyType):
    """Several choices out of a list."""

    io_type = "COMBO"

    class Input(ComboInput):
        """With room for several."""

        def __init__(self, id: str, options: Any = None, **more: Any) -> None:
            super().__init__(id, options, **more, multi_select=True)
            self.options["options"] = self.type_name
            self.type_name = "COMBO"


class MultiType:
    """One of several types."""

    class Input(api_schema.Input):
        """Several types at one input; the first may bring its widget."""

        def __init__(self, id: Any, types: Any = (), **more: Any) -> None:
            first = id if isinstance(id, api_schema.Input) else None
            super().__init__(first.id if first else str(id), **more)
            if first:
                self.options = first.options | self.options
                self.optional = self.optional or first.optional
            names = [first.type_name] if first else []
            self.type_name = ",".join(dict.fromkeys([*names, *(kind.io_type for kind in types)]))


class MatchType:
    """The same type at several places, whichever that is."""

    class Template:
        """Names the places."""

        def __init__(self, template_id: str, allowed_types: Any = None) -> None:
            self.template_id = template_id
            self.allowed_types = allowed_types

    class Input(api_schema.Input):
        """Any type."""

        def __init__(self, id: str, template: Any = None, **more: Any) -> None:
            del template
            super().__init__(id, **more)

    class Output(api_schema.Output):
        """Any type."""

        def __init__(self, template: Any = None, **more: Any) -> None:
            del template
            super().__init__(**more)


class NodeOutput:
    """What a node returns."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: dict[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """The outputs."""
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]

    def as_returned(self) -> Any:
        """As a class of the v1 contract returns it."""
        blocked = self.block_execution is not None
        outputs = ExecutionBlocker(self.block_execution) if blocked else self.args
        told: dict[str, Any] = {"result": outputs}
        if self.ui is not None:
            told["ui"] = self.ui.as_dict() if hasattr(self.ui, "as_dict") else self.ui
        return told | ({"expand": self.expand} if self.expand else {})


class FromSchema:
    """An attribute of the v1 contract, read from the class's schema."""

    def __init__(self, read: Callable[[Schema], Any]) -> None:
        self._read = read

    def __get__(self, instance: object, owner: Any) -> Any:
        return self._read(owner.GET_SCHEMA())


class UnderOldName:
    """A method of the v1 contract, where the class has what replaces it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: Any) -> Any:
        return getattr(owner, self._name, None)


class ComfyNode:
    """A node type of the v3 contract; its class methods do the work."""

    FUNCTION = "EXECUTE_NORMALIZED"
    RETURN_TYPES = FromSchema(lambda schema: tuple(o.type_name for o in schema.outputs or ()))
    RETURN_NAMES = FromSchema(lambda schema: tuple(o.display_name for o in schema.outputs or ()))
    OUTPUT_IS_LIST = FromSchema(lambda s: tuple(o.is_output_list for o in s.outputs or ()))
    CATEGORY = FromSchema(lambda schema: schema.category)
    DESCRIPTION = FromSchema(lambda schema: schema.description)
    OUTPUT_NODE = FromSchema(lambda schema: schema.is_output_node)
    INPUT_IS_LIST = FromSchema(lambda schema: schema.is_input_list)
    DEPRECATED = FromSchema(lambda schema: schema.is_deprecated)
    EXPERIMENTAL = FromSchema(lambda schema: schema.is_experimental)
    VALIDATE_INPUTS = UnderOldName("validate_inputs")
    IS_CHANGED = UnderOldName("fingerprint_inputs")
    hidden: ClassVar[Any] = SimpleNamespace()

    @classmethod
    def define_schema(cls) -> Schema:
        """Declare the node type.

        Raises:
            NotImplementedError: the class does not.
        """
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The declaration."""
        return cls.define_schema()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The declaration's inputs."""
        return cls.GET_SCHEMA().input_types()

    @classmethod
    def EXECUTE_NORMALIZED(cls, **given: Any) -> Any:
        """Run `execute`, with the hidden inputs where it looks for them."""
        schema = cls.GET_SCHEMA()
        told: dict[str, Any] = {item.name: None for item in Hidden}
        for item in schema.hidden or ():
            value = given.pop(item.name, None)
            told[item.name] = value[0] if schema.is_input_list and value else value
        running: Any = type(cls.__name__, (cls,), {"hidden": SimpleNamespace(**told)})
        return running.execute(**given)


def _refused(name: str) -> Any:
    def refuse(*_args: Any, **_more: Any) -> Any:
        what = f"io.{name}"
        raise NotOfferedError(what)

    return SimpleNamespace(Input=refuse, Output=refuse, TemplatePrefix=refuse, TemplateNames=refuse)


Autogrow, DynamicCombo, DynamicSlot = map(_refused, ("Autogrow", "DynamicCombo", "DynamicSlot"))
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
}
_SAME = "Image Mask Latent Conditioning Model Sampler Sigmas Noise Guider Gligen Hooks Mesh Voxel"
for _name in [*_TYPES, *_SAME.split(), "Point", "Webcam", "Photomaker", "Color", "Load3D", "Curve"]:
    globals()[_name] = Custom(_TYPES.get(_name, _name.upper()))
