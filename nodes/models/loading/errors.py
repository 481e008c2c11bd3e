"""Errors of the parts of a checkpoint that a workflow uses."""

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


class UnreadTextError(NodeGraphError):
    """A prompt has a text for a text encoder that the CLIP's family does not have."""

    code = "unread_text"

    def __init__(self, unread: Sequence[str], read: Sequence[str]) -> None:
        super().__init__(
            f"the prompt has texts for {', '.join(unread)}, but this CLIP's family has only "
            f"{', '.join(read)}.",
            hint="Use the node of the CLIP's own family, or CLIPTextEncode, which suits all.",
        )


class BlindEncoderError(NodeGraphError):
    """A prompt has a picture, and its text encoder has no vision encoder."""

    code = "blind_encoder"

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(
            f"the text encoder {name} of {path.name!r} sees no pictures.",
            hint="Load a file with the vision encoder of Qwen2.5-VL, Qwen3-VL or Qwen3.5 in it, "
            "whose keys begin with 'visual.', or leave the pictures out.",
        )


class ChatlessEncoderError(NodeGraphError):
    """A node writes a chat around a prompt, and the text encoder is no language model."""

    code = "chatless_encoder"

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(
            f"the text encoder {name} of {path.name!r} is no language model, which this node's "
            "prompts are for.",
            hint="Use CLIPTextEncode, or load a Qwen2.5-VL with CLIPLoader.",
        )


class MuteEncoderError(NodeGraphError):
    """A text encoder should write a text, and is no language model."""

    code = "mute_encoder"

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(names)} of {path.name!r} can not write: only language models can.",
            hint="Load Qwen3, Qwen2.5-VL, Qwen3-VL or Qwen3.5 with CLIPLoader.",
        )
