"""What can be wrong with a model file, or with how a workflow uses one."""

from nodegraph.errors import NodeGraphError


class WrongReferenceError(NodeGraphError):
    """A reference latent does not fit the model that should look at it."""

    code = "wrong_reference"

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"the reference latent has {found} channels, this model's latents have {expected}.",
            hint="Encode the picture with the VAE that belongs to the model.",
        )


class TooLargeLatentError(NodeGraphError):
    """A latent has more patches than the model has positions for."""

    code = "too_large_latent"

    def __init__(self, width: int, height: int, most: int) -> None:
        super().__init__(
            f"a latent of {width}x{height} is too large for this model.",
            hint=f"It takes at most {most} each way: {most * 8} pixels.",
        )


class NothingBesideError(NodeGraphError):
    """A model reads a picture beside the latent, and gets none."""

    code = "nothing_beside"

    def __init__(self, channels: int) -> None:
        super().__init__(
            f"the model reads a picture beside the latent ({channels} channels more), and the"
            " workflow gives it none.",
            hint="Models for inpainting need InpaintModelConditioning, or a latent with a mask;"
            " those that follow instructions or edges need InstructPixToPixConditioning.",
        )


class NoMaskBesideError(NodeGraphError):
    """A model for inpainting is not told where."""

    code = "no_mask_beside"

    def __init__(self) -> None:
        super().__init__(
            "the model is made for inpainting, and the workflow gives it no mask.",
            hint="Use InpaintModelConditioning.",
        )


class BesideChannelsError(NodeGraphError):
    """A picture beside the latent was encoded by the VAE of another family."""

    code = "beside_channels"

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"the picture beside the latent has {found} channels, this model's latents have"
            f" {expected}.",
            hint="Encode it with the model's own VAE.",
        )


class UnknownInputsError(NodeGraphError):
    """A model reads more channels than its latents have, in no way that is known here."""

    code = "unknown_inputs"

    def __init__(self, channels: int) -> None:
        super().__init__(
            f"the model reads {channels} channels beside the latent, which nothing here makes.",
            hint="Models for inpainting, for instructions, for edges and for depth are known.",
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
