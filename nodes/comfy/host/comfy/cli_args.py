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
    base_directory=None,
    cpu=False,
    directml=None,
    gpu_only=False,
    normalvram=False,
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
    input_directory=None,
    temp_directory=None,
    user_directory=None,
    disable_all_custom_nodes=False,
    disable_xformers=False,
    dont_upcast_attention=False,
    force_channels_last=False,
    force_non_blocking=False,
    force_upcast_attention=False,
    tls_certfile=None,
    tls_keyfile=None,
    use_flash_attention=False,
    use_pytorch_cross_attention=False,
    use_quad_cross_attention=False,
    use_sage_attention=False,
    use_split_cross_attention=False,
    whitelist_custom_nodes=list[str](),
    preview_method=LatentPreviewMethod.Latent2RGB,
    verbose="INFO",
)


def enable_args_parsing(enable: bool = True) -> None:
    """Do nothing: there is nothing to parse."""
    del enable
