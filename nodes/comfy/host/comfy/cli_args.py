"""`comfy.cli_args`: the command line that packs believe ComfyUI was started with."""

from enum import Enum
from types import SimpleNamespace


class LatentPreviewMethod(Enum):
    """The methods of making previews."""

    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"


args = SimpleNamespace(
    listen="127.0.0.1",
    port=8188,
    cpu=False,
    lowvram=False,
    novram=False,
    highvram=False,
    disable_metadata=False,
    disable_smart_memory=False,
    deterministic=False,
    fast=set[str](),
    force_fp16=False,
    force_fp32=False,
    multi_user=False,
    output_directory=None,
    preview_method=LatentPreviewMethod.Latent2RGB,
    verbose="INFO",
)


def enable_args_parsing(enable: bool = True) -> None:
    """Do nothing: there is nothing to parse."""
    del enable
