"""UPSCALE_MODEL in ComfyUI's form: a network that packs call with pictures."""

from torch import Tensor

from nodes.models.adapters.upscaler import UpscaleModel


class PackUpscaler:
    """An upscale model; where it computes, and in which dtype, is the engine's choice.

    Packs call it tile by tile, as with `comfy.utils.tiled_scale`.

    Args:
        native: the upscale model.
    """

    def __init__(self, native: UpscaleModel) -> None:
        self.native = native
        self.scale = native.scale

    @property
    def model(self) -> "PackUpscaler":
        """The network itself."""
        return self

    def __call__(self, picture: Tensor) -> Tensor:
        """Enlarge [batch, 3, h, w] in [0, 1] to [batch, 3, h * scale, w * scale].

        The result is on the picture's device; values may lie a little outside [0, 1].
        """
        return self.native.enlarge(picture).to(picture.device)

    def to(self, *_place: object, **_more: object) -> "PackUpscaler":
        """Return itself: the engine moves networks."""
        return self

    def eval(self) -> "PackUpscaler":
        """Return itself: it is never trained."""
        return self

    cpu = cuda = half = float = to
