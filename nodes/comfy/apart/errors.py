"""Errors of packs that run in a process of their own."""

from nodegraph.errors import NodeGraphError


class CannotCrossError(NodeGraphError):
    """A value can not be handed to a pack in another process, or come from it."""

    code = "value_stays_in_process"

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"a value of the type {kind} can not go to or from a pack's own environment.",
            hint=(
                "Tensors, numbers, texts, lists and dicts of them can: images, masks, latents, "
                "conditionings. Models can not; remove the pack's line from packs.toml."
            ),
        )


class PackProcessError(NodeGraphError):
    """A node failed in the process of its pack's own environment, or that process died."""

    code = "pack_process"
