"""What can be wrong with a model file, or with how a workflow uses one."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class MissingPartError(NodeGraphError):
    """A workflow uses a part of a checkpoint that its file does not have."""

    code = "missing_part"

    def __init__(self, path: Path, part: str) -> None:
        super().__init__(
            f"{path.name!r} holds no {part}.", hint=f"Load a {part} from a file of its own."
        )


class SeenStatesError(NodeGraphError):
    """A network reads another vision encoder's states than it was made for."""

    code = "seen_states"

    def __init__(self, path: Path, expected: int, found: str) -> None:
        super().__init__(
            f"{path.name!r} reads {expected} numbers of each patch of a picture, which this vision"
            f" encoder does not give: {found}.",
            hint="Use the vision encoder that it was made with: SigLIP so400m gives 1152, ViT-L"
            " 1024, ViT-H 1280, bigG 1664.",
        )


class UnreadTextError(NodeGraphError):
    """A prompt has a text for a text encoder that the CLIP's family does not have."""

    code = "unread_text"

    def __init__(self, unread: Sequence[str], read: Sequence[str]) -> None:
        super().__init__(
            f"the prompt has texts for {', '.join(unread)}, but this CLIP's family has only "
            f"{', '.join(read)}.",
            hint="Use the node of the CLIP's own family, or CLIPTextEncode, which suits all.",
        )
