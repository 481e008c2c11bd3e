"""Errors of files that hold another model than their folder is for, or not all of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

ModelFileCode: TypeAlias = Literal[
    "not_a_vae",
    "not_a_text_encoder",
    "not_a_lora",
    "not_a_controlnet",
    "not_a_hypernetwork",
    "not_gligen",
    "not_an_ip_adapter",
    "not_a_photomaker",
    "not_a_vision_encoder",
    "not_a_style_model",
    "not_a_model_patch",
    "not_an_upscaler",
    "not_a_safety_checker",
]

_READ: Mapping[ModelFileCode, tuple[str, str]] = {
    "not_a_vae": ("VAE", "VAEs for images with 4 or 16 latent channels are read."),
    "not_a_text_encoder": (
        "text encoder",
        "CLIP-L, CLIP-H, CLIP-G, T5-XXL, Qwen3 and Gemma 2 are read.",
    ),
    "not_a_lora": ("LoRA", "LoRA, LoCon, LoHa, LoKr, DoRA and diff files are read."),
    "not_a_controlnet": (
        "ControlNet",
        "ControlNets for SD 1, 2, XL, 3, FLUX.1 and Qwen-Image are read, and T2I-Adapters.",
    ),
    "not_a_hypernetwork": (
        "hypernetwork",
        "AUTOMATIC1111's are read, with activations that have no weights.",
    ),
    "not_gligen": ("GLIGEN model", "GLIGEN models for boxes with a text are read."),
    "not_an_ip_adapter": (
        "IP-Adapter",
        "Those of h94/IP-Adapter for a U-Net are read: plain, plus and full-face.",
    ),
    "not_a_photomaker": (
        "PhotoMaker",
        "Version 1 is read; version 2 needs a face recogniser.",
    ),
    "not_a_vision_encoder": (
        "vision encoder",
        "CLIP's and SigLIP's are read, in transformers' layout and in OpenCLIP's.",
    ),
    "not_a_style_model": ("style model", "FLUX.1 Redux is read."),
    "not_a_model_patch": (
        "model patch",
        "USO's projector for FLUX.1, and ControlNets for Z-Image and Qwen-Image are read.",
    ),
    "not_an_upscaler": (
        "upscale model",
        "ESRGAN and Real-ESRGAN models are read, and the compact ones of the latter.",
    ),
    "not_a_safety_checker": (
        "safety checker",
        "Stable Diffusion's is read, in diffusers' layout.",
    ),
}
"""Each code: the kind of model that a file should hold, and which of the kind are read."""


class UnrecognisedFileError(NodeGraphError):
    """A file holds no model of the kind that it is loaded as, or none that is known here."""

    def __init__(self, path: Path, seen: str, *, code: ModelFileCode) -> None:
        kind, hint = _READ[code]
        super().__init__(
            f"{path.name!r} holds no {kind} that is known here. Its weights: {seen}.", hint=hint
        )
        self.code = code


class MissingWeightsError(NodeGraphError):
    """A checkpoint lacks weights that its family has, or has them in another shape."""

    code = "missing_weights"

    def __init__(self, path: Path, part: str, wrong: Sequence[str]) -> None:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        super().__init__(
            f"{path.name!r} does not hold a complete {part}: {', '.join(wrong[:3])}{more}.",
            hint="The file may be damaged, or hold only a part of the model.",
        )


class MissingTokenizerError(NodeGraphError):
    """A text encoder's tokenizer does not ship here, and its file does not bring it along."""

    code = "missing_tokenizer"

    def __init__(self, path: Path, encoder: str, brought: Mapping[str, str]) -> None:
        """Make the error of a file; `brought` are the tensors that may hold it, and their files."""
        super().__init__(
            f"{path.name!r} holds {encoder} without its tokenizer, which nodegraph does not have.",
            hint=f"Use a file with the tensor {next(iter(brought))!r}, as ComfyUI's have it, or put"
            f" the publisher's {' or '.join(brought.values())} beside the file.",
        )


class UnreadableTokenizerError(NodeGraphError):
    """The tokenizer that a text encoder's file brings along can not be read."""

    code = "unreadable_tokenizer"

    def __init__(self, path: Path, encoder: str, reason: str) -> None:
        super().__init__(
            f"the tokenizer of {encoder} in {path.name!r} can not be read: {reason}.",
            hint="Download the text encoder again, or use another copy of it.",
        )
