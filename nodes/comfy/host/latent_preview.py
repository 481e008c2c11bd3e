"""`latent_preview`: callbacks that only report the progress; sampling itself makes previews."""

from collections.abc import Callable
from typing import Any

from nodes.comfy.host.comfy.comfy_utils import ProgressBar

MAX_PREVIEW_RESOLUTION = 512


def prepare_callback(
    model: object, steps: int, x0_output_dict: dict[str, Any] | None = None
) -> Callable[..., None]:
    """Return a callback for every step that reports the progress."""
    del model
    bar = ProgressBar(steps)

    def callback(step: int, x0: object, x: object, total_steps: int) -> None:
        del x
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        bar.update_absolute(step + 1, total_steps)

    return callback


def get_previewer(*_args: object, **_more: object) -> None:
    """Return None: packs get no previewer."""
