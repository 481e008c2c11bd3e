"""`comfy.sd`: the classes that CLIP and VAE values have, and LoRAs for both."""

from typing import Any

from nodes.comfy.errors import NotOfferedError
from nodes.comfy.models import PackClip, PackVae

CLIP = PackClip
VAE = PackVae


def load_lora_for_models(*_args: object, **_more: object) -> Any:
    """A LoRA is read from its file only.

    Raises:
        NotOfferedError: always.
    """
    what = "comfy.sd.load_lora_for_models"
    raise NotOfferedError(what, hint="nodes.LoraLoader works.")
