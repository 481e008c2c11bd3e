"""What can be wrong with a picture or a latent that a workflow loads; imports no torch."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


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


class LatentChannelsError(NodeGraphError):
    """A latent was made for a model of another family."""

    code = "latent_channels"

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(
            f"the latent has {found} channels, but the model takes {wanted}.",
            hint="Encode the picture with the VAE that belongs to the model.",
        )
