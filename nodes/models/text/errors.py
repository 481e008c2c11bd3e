"""Errors of prompts."""

from nodegraph.errors import NodeGraphError


class UnplacedPictureError(NodeGraphError):
    """A prompt has fewer places for pictures than there are pictures."""

    code = "unplaced_picture"

    def __init__(self, pictures: int, places: int) -> None:
        super().__init__(
            f"there are {pictures} pictures for a prompt with {places} places for them.",
            hint="Each place is written as <|vision_start|><|image_pad|><|vision_end|>.",
        )
