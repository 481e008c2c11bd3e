"""What can be wrong with a model file, or with how a workflow uses one."""

from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotALoraError(NodeGraphError):
    """A file of the LoRA folder holds no patches in any style that is known here."""

    code = "not_a_lora"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} is no LoRA: none of its weights is a patch.",
            hint="LoRA, LoCon, LoHa, LoKr, DoRA and diff files are read.",
        )
