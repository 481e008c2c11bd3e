"""`comfy.clip_vision`: image encoders in files; the classes of their networks are absent."""

from typing import Any

from nodes.comfy.host.comfy.files import load_by_path


def load(ckpt_path: str) -> Any:
    """Return the image encoder in a file.

    Raises:
        NotOfferedError: the file is in no folder of image encoders.
    """
    return load_by_path(ckpt_path, "clip_vision", "CLIPVisionLoader")[0]
