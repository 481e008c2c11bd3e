"""What can be wrong with what a model is given beside the latent; imports no torch."""

from nodegraph.errors import NodeGraphError


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
