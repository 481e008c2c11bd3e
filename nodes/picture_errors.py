"""What can be wrong with models that read pictures, or with how a workflow uses them."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotAVisionEncoderError(NodeGraphError):
    """A file of the vision encoders' folder holds none that is known here."""

    code = "not_a_vision_encoder"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no vision encoder that is known here. Its weights: {seen}.",
            hint="CLIP's and SigLIP's are read, in transformers' layout and in OpenCLIP's.",
        )


class NoVectorError(NodeGraphError):
    """A vision encoder makes no vector of a picture, and one is needed."""

    code = "no_vector"

    def __init__(self) -> None:
        super().__init__(
            "the vision encoder makes no vector of a picture: its file holds no head.",
            hint="Use CLIP's vision encoder that belongs to the model.",
        )


class NoPictureModelError(NodeGraphError):
    """A condition shows pictures to a model that reads texts only."""

    code = "no_picture_model"

    def __init__(self) -> None:
        super().__init__(
            "the conditioning shows pictures, and this model reads texts only.",
            hint="unCLIPConditioning is for SDXL and for unCLIP checkpoints.",
        )


class SeenWidthError(NodeGraphError):
    """Pictures were seen by another vision encoder than a model reads."""

    code = "seen_width"

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"the vision encoder says {found} numbers of a picture, and {expected} are read here.",
            hint="Use the vision encoder that the model was made with: ViT-L says 768, ViT-H 1024,"
            " bigG 1280.",
        )


class SeenStatesError(NodeGraphError):
    """A network reads another vision encoder's states than it was made for."""

    code = "seen_states"

    def __init__(self, path: Path, expected: int, found: str) -> None:
        super().__init__(
            f"{path.name!r} reads {expected} numbers of each patch of a picture, which this vision"
            f" encoder does not give: {found}.",
            hint="Use the vision encoder that it was made with: SigLIP so400m gives 1152, ViT-L"
            " 1024, ViT-H 1280, bigG 1664.",
        )


class NotAStyleModelError(NodeGraphError):
    """A file of the style models' folder holds none that is known here."""

    code = "not_a_style_model"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no style model that is known here. Its weights: {seen}.",
            hint="FLUX.1 Redux is read.",
        )


class StyleMismatchError(NodeGraphError):
    """A style model was made for the text encoder of another family."""

    code = "style_mismatch"

    def __init__(self, path: Path, found: int, expected: int) -> None:
        super().__init__(
            f"the tokens of {path.name!r} are {found} wide, the conditioning's {expected}.",
            hint="FLUX.1 Redux is for FLUX.1's prompts, PhotoMaker for SDXL's.",
        )


class NotAModelPatchError(NodeGraphError):
    """A file of the model patches' folder holds none that is known here."""

    code = "not_a_model_patch"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no model patch that is known here. Its weights: {seen}.",
            hint="USO's projector for FLUX.1 is read.",
        )


class ModelPatchMismatchError(NodeGraphError):
    """A model patch was made for another model."""

    code = "model_patch_mismatch"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} does not fit this model.", hint="USO's projector is for FLUX.1."
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


class AdapterMismatchError(NodeGraphError):
    """An IP-Adapter was made for another family."""

    code = "ip_adapter_mismatch"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the IP-Adapter {path.name!r} does not fit the model.",
            hint="Use one that was made for the model's family: Stable Diffusion 1.5 or SDXL.",
        )


class NotAPhotoMakerError(NodeGraphError):
    """A file of PhotoMaker's folder holds none that is known here."""

    code = "not_a_photomaker"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no PhotoMaker that is known here. Its weights: {seen}.",
            hint="Version 1 is read; version 2 needs a face recogniser.",
        )


class TriggerPlaceError(NodeGraphError):
    """The word that is to become a person stands too far back in the prompt."""

    code = "trigger_place"

    def __init__(self, trigger: str) -> None:
        super().__init__(
            f"{trigger!r} stands too far back in the prompt.",
            hint="The word before it has to be among the first 75 tokens.",
        )


class NotASafetyCheckerError(NodeGraphError):
    """A file of the safety checkers' folder holds none that is known here."""

    code = "not_a_safety_checker"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no safety checker. Its weights: {seen}.",
            hint="Stable Diffusion's is read, in diffusers' layout.",
        )
