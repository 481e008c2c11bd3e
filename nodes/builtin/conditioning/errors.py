"""Errors of prompts that PhotoMaker can not use."""

from nodegraph.errors import NodeGraphError


class TriggerPlaceError(NodeGraphError):
    """The word that is to become a person stands too far back in the prompt."""

    code = "trigger_place"

    def __init__(self, trigger: str) -> None:
        super().__init__(
            f"{trigger!r} stands too far back in the prompt.",
            hint="The word before it has to be among the first 75 tokens.",
        )
