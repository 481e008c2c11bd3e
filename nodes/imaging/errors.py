"""What can be wrong with how pictures, masks, latents and texts are combined; no torch."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class EmptyBatchError(NodeGraphError):
    """A node gets a batch without a single picture, mask or latent in it."""

    code = "empty_batch"

    def __init__(self, what: str) -> None:
        super().__init__(f"the batch of {what} is empty.", hint="It needs at least one.")


class NotAnImageError(NodeGraphError):
    """A file that a workflow loads as a picture is none."""

    code = "not_an_image"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.name!r} can not be loaded as a picture: {reason}.",
            hint="PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF and PPM files work.",
        )


class DamagedImageError(NodeGraphError):
    """A picture breaks off, or its contents make no sense."""

    code = "damaged_image"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the picture {path.name!r} is damaged: {reason}.",
            hint="Copy it again, or save it anew from a program that can open it.",
        )


class ImageTooLargeError(NodeGraphError):
    """A picture has so many pixels that loading it could exhaust the memory."""

    code = "image_too_large"

    def __init__(self, path: Path, pixels: str, most: int) -> None:
        super().__init__(
            f"the picture {path.name!r} has {pixels}; at most {most // 10**6} million are loaded.",
            hint="Scale it down first.",
        )


class NotALatentError(NodeGraphError):
    """A file that a workflow loads as a latent is none."""

    code = "not_a_latent"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.name!r} can not be loaded as a latent: {reason}.",
            hint="SaveLatent writes .latent files that can.",
        )
