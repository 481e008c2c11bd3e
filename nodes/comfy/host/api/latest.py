"""`comfy_api.latest`: the v3 contract."""

from typing import Any

from nodes.comfy.host.api import api_input as Input  # noqa: N812 - the name that packs import
from nodes.comfy.host.api import api_input as InputImpl  # noqa: N812 - the same
from nodes.comfy.host.api import api_input as Types  # noqa: N812 - the same
from nodes.comfy.host.api import api_io as io
from nodes.comfy.host.api import ui
from nodes.comfy.host.comfy.comfy_utils import ProgressBar

__all__ = ["IO", "UI", "ComfyAPI", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]
IO, UI = io, ui


class ComfyExtension:
    """A pack of the v3 contract."""

    async def on_load(self) -> None:
        """Prepare the pack before anything else."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the node classes.

        Raises:
            NotImplementedError: the pack does not define it.
        """
        raise NotImplementedError


class Execution:
    """The progress of a running node, asynchronously."""

    async def set_progress(self, value: float, max_value: float, *_more: Any, **_rest: Any) -> None:
        """Report the progress."""
        ProgressBar(int(max_value)).update_absolute(int(value))


class ExecutionSync:
    """The progress of a running node, synchronously."""

    def set_progress(self, value: float, max_value: float, *_more: Any, **_rest: Any) -> None:
        """Report the progress."""
        ProgressBar(int(max_value)).update_absolute(int(value))


class ComfyAPI:
    """The asynchronous API for packs of the v3 contract."""

    def __init__(self) -> None:
        self.execution = Execution()


class ComfyAPISync:
    """The synchronous API for packs of the v3 contract."""

    def __init__(self) -> None:
        self.execution = ExecutionSync()
