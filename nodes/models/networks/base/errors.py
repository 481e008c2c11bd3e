"""Errors of inputs that a network can not use: absent, or made for another model."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

ChannelCode: TypeAlias = Literal[
    "beside_channels", "hint_channels", "latent_channels", "wrong_latent", "wrong_reference"
]
MissingInputCode: TypeAlias = Literal[
    "difference_controlnet",
    "fill_needs_both",
    "hint_needs_mask",
    "hint_needs_vae",
    "no_control_type",
    "no_mask_beside",
    "nothing_beside",
]
VisionEncoderCode: TypeAlias = Literal["seen_width", "seen_states"]
WrongNetworkCode: TypeAlias = Literal["wrong_network", "no_picture_model"]


class ChannelMismatchError(NodeGraphError):
    """A latent has another number of channels than the network that should read it."""

    def __init__(
        self, *, code: ChannelCode, what: str, found: int, expected: int, reader: str, hint: str
    ) -> None:
        super().__init__(f"{what} has {found} channels, {reader} reads {expected}.", hint=hint)
        self.code = code


class LayeredLatentError(NodeGraphError):
    """A latent has layers, and the model reads a single picture there."""

    code = "layered_latent"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"{what} has layers, this model reads it without them.",
            hint="Only Qwen-Image-Layered makes layers; LatentCutToBatch with 't' cuts them into"
            " a batch.",
        )


class MissingInputError(NodeGraphError):
    """A network needs an input that the workflow does not give it."""

    def __init__(self, *, code: MissingInputCode, need: str, missing: str, hint: str) -> None:
        super().__init__(f"{need}, and {missing} is given.", hint=hint)
        self.code = code


class WrongConditioningError(NodeGraphError):
    """A conditioning was made by the text encoder of another family."""

    code = "wrong_conditioning"

    def __init__(self, what: str, found: int, expected: int) -> None:
        width = f"is {found} wide" if found else "is lacking"
        super().__init__(
            f"the conditioning's {what} {width}, this model's is {expected} wide.",
            hint="Encode the prompt with the CLIP that belongs to the model.",
        )


class TooManyReferencesError(NodeGraphError):
    """A conditioning has more reference images than the model was trained with."""

    code = "too_many_references"

    def __init__(self, found: int, most: int) -> None:
        super().__init__(
            f"there are {found} reference images, this model takes {most}.",
            hint="Take some of them out, or put several into one image.",
        )


class UnplacedPictureError(NodeGraphError):
    """A prompt has fewer places for pictures than there are pictures."""

    code = "unplaced_picture"

    def __init__(self, pictures: int, places: int) -> None:
        super().__init__(
            f"there are {pictures} pictures for a prompt with {places} places for them.",
            hint="Each place is written as <|vision_start|><|image_pad|><|vision_end|>.",
        )


class UnplacedReferenceError(NodeGraphError):
    """A model reads reference latents in the text's places for pictures, and there are others."""

    code = "unplaced_reference"

    def __init__(self, references: int, places: int) -> None:
        super().__init__(
            f"there are {references} reference latents for a prompt with {places} pictures, in"
            " whose places this model reads them.",
            hint="Give the images and the VAE to TextEncodeQwenImage21, and take ReferenceLatent"
            " out.",
        )


class ReferenceMethodError(NodeGraphError):
    """A node chose a way to read reference latents that the model does not have."""

    code = "reference_method"

    def __init__(self, method: str, known: Sequence[str]) -> None:
        super().__init__(
            f"this model does not read reference latents by the method {method!r}.",
            hint=f"It knows {', '.join(known)}; without the node it takes the usual one.",
        )


class CompiledCodeError(NodeGraphError):
    """A network can not be compiled, or the compiled code fails; torch's error is chained."""

    code = "compiled_code"

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(
            f"{kind} does not compute as compiled code: {reason}.",
            hint="Use the other backend of TorchCompileModel, or take the node out.",
        )


class WrongNetworkError(NodeGraphError):
    """A node is used with a model that lacks the layers or the input it works on."""

    def __init__(self, *, code: WrongNetworkCode, what: str, wanted: str) -> None:
        super().__init__(
            f"{what} is for {wanted}, which this model is not.",
            hint="Take the node out, or use another model.",
        )
        self.code = code


class UnknownConcatError(NodeGraphError):
    """A model reads more channels than its latents have, in no way that is known here."""

    code = "unknown_inputs"

    def __init__(self, channels: int) -> None:
        super().__init__(
            f"the model reads {channels} channels beside the latent, which nothing here makes.",
            hint="Models for inpainting, for instructions, for edges and for depth are known.",
        )


class VisionEncoderMismatchError(NodeGraphError):
    """A network reads the output of another vision encoder than it is given."""

    def __init__(self, *, code: VisionEncoderCode, reads: str, found: str) -> None:
        super().__init__(
            f"{reads}, which this vision encoder does not give: {found}.",
            hint="Use the vision encoder that it was made with. Numbers of an image and of each"
            " patch: ViT-L 768 and 1024, ViT-H 1024 and 1280, bigG 1280 and 1664, SigLIP so400m"
            " 1152 of a patch.",
        )
        self.code = code
