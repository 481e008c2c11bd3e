"""Errors of prompts that GLIGEN and PhotoMaker can not use."""

from nodegraph.errors import NodeGraphError


class NoBoxTextError(NodeGraphError):
    """A text encoder makes no vector of the text for a box."""

    code = "no_box_text"

    def __init__(self) -> None:
        super().__init__(
            "the text encoder makes no single vector of a text, which a box needs.",
            hint="Use the CLIP of the Stable Diffusion model that draws.",
        )


class TriggerPlaceError(NodeGraphError):
    """The word that is to become a person stands too far back in the prompt."""

    code = "trigger_place"

    def __init__(self, trigger: str) -> None:
        super().__init__(
            f"{trigger!r} stands too far back in the prompt.",
            hint="The word before it has to be among the first 75 tokens.",
        )
