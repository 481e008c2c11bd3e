"""What can be wrong with a model that steers another, or with how a workflow uses it."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotGligenError(NodeGraphError):
    """A file of the GLIGEN folder holds none."""

    code = "not_gligen"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} is no GLIGEN model. Its weights: {seen}.",
            hint="GLIGEN models for boxes with a text are read.",
        )


class NotAnUpscalerError(NodeGraphError):
    """A file of the upscale models' folder holds none that is known here."""

    code = "not_an_upscaler"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no upscale model that is known here. Its weights: {seen}.",
            hint="ESRGAN and Real-ESRGAN models are read, and the compact ones of the latter.",
        )


class NotAVisionEncoderError(NodeGraphError):
    """A file of the vision encoders' folder holds none that is known here."""

    code = "not_a_vision_encoder"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no vision encoder that is known here. Its weights: {seen}.",
            hint="CLIP's and SigLIP's are read, in transformers' layout and in OpenCLIP's.",
        )


class NotAStyleModelError(NodeGraphError):
    """A file of the style models' folder holds none that is known here."""

    code = "not_a_style_model"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no style model that is known here. Its weights: {seen}.",
            hint="FLUX.1 Redux is read.",
        )


class NotAModelPatchError(NodeGraphError):
    """A file of the model patches' folder holds none that is known here."""

    code = "not_a_model_patch"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no model patch that is known here. Its weights: {seen}.",
            hint="USO's projector for FLUX.1 is read.",
        )


class NotAnIPAdapterError(NodeGraphError):
    """A file of the IP-Adapters' folder holds none."""

    code = "not_an_ip_adapter"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no IP-Adapter for a U-Net. Its weights: {seen}.",
            hint="Those of h94/IP-Adapter are read: plain, plus and full-face.",
        )


class FaceAdapterError(NodeGraphError):
    """An IP-Adapter reads faces by a network that is no vision encoder."""

    code = "face_adapter"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} is a FaceID adapter, which needs a face recogniser.",
            hint="Use a plain, plus, plus-face or full-face adapter.",
        )


class NotAPhotoMakerError(NodeGraphError):
    """A file of PhotoMaker's folder holds none that is known here."""

    code = "not_a_photomaker"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no PhotoMaker that is known here. Its weights: {seen}.",
            hint="Version 1 is read; version 2 needs a face recogniser.",
        )


class NotASafetyCheckerError(NodeGraphError):
    """A file of the safety checkers' folder holds none that is known here."""

    code = "not_a_safety_checker"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no safety checker. Its weights: {seen}.",
            hint="Stable Diffusion's is read, in diffusers' layout.",
        )
