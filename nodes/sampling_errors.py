"""What can be wrong with how a workflow samples; imports no torch."""

from nodegraph.errors import NodeGraphError


class BadSettingError(NodeGraphError):
    """A setting has a value that makes no sense together with the others."""

    code = "bad_setting"

    def __init__(self, name: str, what: str, hint: str) -> None:
        super().__init__(f"{name} {what}.", hint=hint, input_name=name)


class WrongNetworkError(NodeGraphError):
    """Something is to be changed inside of a network that has no such thing."""

    code = "wrong_network"

    def __init__(self, what: str, wanted: str) -> None:
        super().__init__(
            f"{what} is for {wanted}, which this model is not.",
            hint="Take the node out, or use another model.",
        )


class CannotCompileError(NodeGraphError):
    """A network is to be compiled where that is not possible."""

    code = "cannot_compile"

    def __init__(self, backend: str, needed: str) -> None:
        super().__init__(
            f"the backend {backend!r} needs {needed}, and there is none.",
            hint="Use the other backend, or take the node out.",
        )


class SeedCountError(NodeGraphError):
    """Each image has a seed of its own, but there are more or fewer images."""

    code = "seed_count"

    def __init__(self, seeds: int, images: int) -> None:
        super().__init__(
            f"there are seeds for {seeds} images, but {images} latents.",
            hint="Give the empty latent the batch size that the batch has.",
        )


class MixedModelsError(NodeGraphError):
    """A batch is put together from guiders of several models."""

    code = "mixed_models"

    def __init__(self) -> None:
        super().__init__(
            "the batch so far is of another model.",
            hint="Link the same model to every node of a batch.",
        )


class UnmatchedBatchError(NodeGraphError):
    """A batch so far has as many images by its guider as by its noise; here it hasn't."""

    code = "unmatched_batch"

    def __init__(self, guided: int, seeded: int) -> None:
        super().__init__(
            f"the guider is for {guided} images so far, the noise for {seeded}.",
            hint="Link guider and noise of the same node, or neither.",
        )


class EnlargedMaskError(NodeGraphError):
    """A sampler that enlarges the latent can not keep what a mask leaves out."""

    code = "enlarged_mask"

    def __init__(self) -> None:
        super().__init__(
            "the sampler enlarges the latent, which has a noise mask.",
            hint="Use another sampler, or a latent without a mask.",
        )


class NotFiniteError(NodeGraphError):
    """Numbers have become infinite, or none at all: what follows would be black."""

    code = "not_finite"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} has numbers that are infinite or none (NaN).",
            hint="Lower the guidance and LoRA strengths, use another sampler or scheduler; or the"
            " model's file is damaged.",
        )
