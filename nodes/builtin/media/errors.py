"""Errors of sounds that can not be cut or combined."""

from nodegraph.errors import NodeGraphError


class SoundChannelsError(NodeGraphError):
    """Two sounds have different numbers of channels, neither of which is one."""

    code = "sound_channels"

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}.", hint=hint)


class SoundRangeError(NodeGraphError):
    """A part of a sound is asked for that it does not have, or a length that can not be."""

    code = "sound_range"

    def __init__(self, problem: str, hint: str, input_name: str) -> None:
        super().__init__(f"{problem}.", hint=hint, input_name=input_name)
