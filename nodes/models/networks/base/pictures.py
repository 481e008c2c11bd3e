"""Pictures that a language model reads between the tokens of a text."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from nodes.models.families.base.spec import Config


@dataclass(frozen=True, slots=True, eq=False)
class PixelPatches:
    """A picture as a language model's vision encoder reads it."""

    pixels: Tensor
    """[patches, numbers] float32: normalized, the patches of a token one after the other."""
    rows: int
    """Of tokens that the picture becomes."""
    columns: int
    """Of the same."""
    merge: int
    """The rows, and the columns, of patches that become one token."""

    @property
    def tokens(self) -> int:
        """The number of tokens that it becomes."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True, eq=False)
class PictureStates:
    """A picture as a language model reads it."""

    tokens: Tensor
    """[tokens, width]: in the place of their embeddings."""
    deep: tuple[Tensor, ...] = ()
    """[tokens, width] each: added to the states after the first layers, one each."""


@dataclass(frozen=True, slots=True, eq=False)
class TextPictures:
    """The pictures in several rows of tokens."""

    mask: Tensor
    """[rows, length]: True for the tokens of pictures."""
    deep: tuple[Tensor, ...]
    """[tokens of all pictures, width] each; see `PictureStates`."""


@dataclass(frozen=True, slots=True)
class PictureClass:
    """All that is particular to one class of vision encoder of language models."""

    prepare: Callable[[Tensor, Config], PixelPatches]
    """Makes patches of a picture, [height, width, 3 or 4] in [0, 1], for its configuration.

    Raises:
        SizeLimitError: the picture is too narrow.
    """
    see: Callable[[nn.Module, PixelPatches], PictureStates]
    """Runs it."""
