"""Errors of files that extend a model and were made for another one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

ModelMismatchCode: TypeAlias = Literal[
    "controlnet_mismatch",
    "gligen_mismatch",
    "hypernetwork_mismatch",
    "ip_adapter_mismatch",
    "model_patch_mismatch",
]

_EXTENSIONS: Mapping[ModelMismatchCode, tuple[str, str]] = {
    "controlnet_mismatch": ("ControlNet", "Use one that was made for the model's family."),
    "gligen_mismatch": ("GLIGEN model", "Use one that was made for the model's family."),
    "hypernetwork_mismatch": (
        "hypernetwork",
        "Use one that was made for the model's family: none of its widths is one of the model's.",
    ),
    "ip_adapter_mismatch": (
        "IP-Adapter",
        "Use one that was made for the model's family: Stable Diffusion 1.5 or SDXL.",
    ),
    "model_patch_mismatch": (
        "model patch",
        "USO's projector is for FLUX.1, Fun Union is for Z-Image, DiffSynth for Qwen-Image.",
    ),
}
"""Each code: the kind of file, and what would work."""


class ModelMismatchError(NodeGraphError):
    """A file that extends a model was made for a model of another family."""

    def __init__(self, path: Path, *, code: ModelMismatchCode) -> None:
        kind, hint = _EXTENSIONS[code]
        super().__init__(f"the {kind} {path.name!r} does not fit the model.", hint=hint)
        self.code = code
