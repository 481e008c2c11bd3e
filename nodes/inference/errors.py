"""Errors of images that a VAE can not encode."""

from nodegraph.errors import NodeGraphError


class TooSmallPictureError(NodeGraphError):
    """A picture is smaller than one pixel of a latent."""

    code = "too_small_picture"

    def __init__(self, width: int, height: int, least: int) -> None:
        super().__init__(
            f"a picture of {width}x{height} pixels is too small to encode.",
            hint=f"It needs at least {least} pixels each way.",
        )
