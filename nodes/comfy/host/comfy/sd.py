"""`comfy.sd`: the classes of CLIP and VAE values, and LoRA loading."""

from typing import Any

from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.models import PackClip, PackVae

CLIP = PackClip
VAE = PackVae


def load_lora_for_models(*_args: object, **_more: object) -> Any:
    """Refuse: LoRAs are only loaded from files.

    Raises:
        NotOfferedError: always.
    """
    what = "comfy.sd.load_lora_for_models"
    raise NotOfferedError(what, hint="nodes.LoraLoader works.")
