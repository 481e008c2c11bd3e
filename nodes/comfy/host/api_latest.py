"""`comfy_api.latest`: the v3 contract."""

from typing import Any

from nodes.comfy.host import api_input as Input  # noqa: N812 - the name that packs import
from nodes.comfy.host import api_input as InputImpl  # noqa: N812 - the same
from nodes.comfy.host import api_input as Types  # noqa: N812 - the same
from nodes.comfy.host import api_io as io
from nodes.comfy.host import api_ui as ui
from nodes.comfy.host.comfy_utils import ProgressBar

__all__ = ["IO", "UI", "ComfyAPI", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]
IO, UI = io, ui


class ComfyExtension:
    """A pack of the v3 contract."""

    async def on_load(self) -> None:
        """What is to be done before anything else."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The node classes.

        Raises:
            NotImplementedError: the pack does not say.
        """
        raise NotImplementedError


class Execution:
    """What a node may tell of its run."""

    async def set_progress(self, value: float, max_value: float, *_more: Any, **_rest: Any) -> None:
        """How far it is."""
        ProgressBar(int(max_value)).update_absolute(int(value))


class ExecutionSync:
    """The same without waiting."""

    def set_progress(self, value: float, max_value: float, *_more: Any, **_rest: Any) -> None:
        """How far it is."""
        ProgressBar(int(max_value)).update_absolute(int(value))


class ComfyAPI:
    """What packs of the v3 contract ask for."""

    def __init__(self) -> None:
        self.execution = Execution()


class ComfyAPISync:
    """The same without waiting."""

    def __init__(self) -> None:
        self.execution = ExecutionSync()
