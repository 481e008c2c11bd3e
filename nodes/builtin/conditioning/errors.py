"""Errors of prompts that PhotoMaker can not use, and of files that hold no prompt."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class TriggerPlaceError(NodeGraphError):
    """The word that is to become a person stands too far back in the prompt."""

    code = "trigger_place"

    def __init__(self, trigger: str) -> None:
        super().__init__(
            f"{trigger!r} stands too far back in the prompt.",
            hint="The word before it has to be among the first 75 tokens.",
        )


class NoConditioningError(NodeGraphError):
    """A file should hold an encoded prompt, and holds none."""

    code = "not_a_conditioning"

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"{path.name} is no conditioning: {problem.rstrip('.')}.",
            hint="It is a safetensors file with a tensor `conditioning` of [1, length, dim].",
        )
