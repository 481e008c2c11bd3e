"""Errors of what a denoiser reads beside its latent: concat channels, a vision encoder's output."""

from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

VisionEncoderCode: TypeAlias = Literal["seen_width", "seen_states"]


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
