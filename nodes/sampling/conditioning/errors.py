"""Errors of noise masks and samplers that exclude each other."""

from nodegraph.errors import NodeGraphError


class EnlargedMaskError(NodeGraphError):
    """A sampler that enlarges the latent can not keep what a mask leaves out."""

    code = "enlarged_mask"

    def __init__(self) -> None:
        super().__init__(
            "the sampler enlarges the latent, which has a noise mask.",
            hint="Use another sampler, or a latent without a mask.",
        )
