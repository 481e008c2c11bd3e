"""Errors of a denoiser's inputs: latent size, concat channels, vision encoder."""

from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

VisionEncoderCode: TypeAlias = Literal["seen_width", "seen_states"]


class TooLargeLatentError(NodeGraphError):
    """A latent has more patches than the model has positions for."""

    code = "too_large_latent"

    def __init__(self, width: int, height: int, most: int) -> None:
        super().__init__(
            f"a latent of {width}x{height} is too large for this model.",
            hint=f"It takes at most {most} each way: {most * 8} pixels.",
        )


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
            hint="Use the vision encoder that it was made with. Numbers of a picture and of each"
            " patch: ViT-L 768 and 1024, ViT-H 1024 and 1280, bigG 1280 and 1664, SigLIP so400m"
            " 1152 of a patch.",
        )
        self.code = code
