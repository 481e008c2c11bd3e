"""comfyui-utils 0.0.1."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from io import BytesIO
from typing import Any

from comfyui_utils.comfy import Callbacks, ComfyAPI
from job import Job, digest, main, refusal


class Listener(Callbacks):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.outputs: dict[str, Any] = {}

    async def queue_position(self, position: object) -> None:
        """Not of interest."""

    async def in_progress(self, node_id: int, progress: int, total: int) -> None:
        """A step."""
        if total:
            self.steps.append((progress, total))

    async def completed(self, outputs: dict[str, Any], cached: bool) -> None:
        """The end."""
        self.outputs = outputs


async def drive(job: Job) -> dict[str, object]:
    """It wants node ids that are numbers, and no previews."""
    api, listener = ComfyAPI(job.address), Listener()
    await api.submit(job.picture, listener)
    found: list[bytes] = []

    async def keep(file: BytesIO) -> None:
        found.append(file.read())

    await api.fetch(listener.outputs["images"][0], keep)
    try:
        await api.submit(job.invalid, Listener())
    except ValueError as error:
        invalid = refusal(error)
    else:
        invalid = ""
    return {"progress": listener.steps, "image": digest(found[0]), "invalid": invalid}


main(drive)
