"""`comfy.controlnet`: ControlNets in files; the classes of their networks are absent."""

from typing import Any

from nodes.comfy.host.comfy.files import load_by_path


def load_controlnet(ckpt_path: str, *_more: object, **_rest: object) -> Any:
    """Return the ControlNet in a file.

    Raises:
        NotOfferedError: the file is in no folder of ControlNets.
    """
    return load_by_path(ckpt_path, "controlnet", "ControlNetLoader")[0]
