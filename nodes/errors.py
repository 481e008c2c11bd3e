"""What can be wrong with a model file, or with how a workflow uses one."""

from collections.abc import Sequence
from pathlib import Path

from nodegraph.errors import NodeGraphError


class NotSafetensorsError(NodeGraphError):
    """A weights file is in another format, or in none."""

    code = "not_safetensors"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path.name!r} is no safetensors file: {what}.",
            hint="Use the .safetensors version of this model.",
        )


class UnreadableGgufError(NodeGraphError):
    """A GGUF file is damaged, or has something that is not read here."""

    code = "unreadable_gguf"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path.name!r} is no GGUF file that is read here: {what}.",
            hint="Download it again, or use another quantisation of this model.",
        )


class MissingExtraError(NodeGraphError):
    """Something needs a package that is not installed by default."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs a package that is not installed.",
            hint=f"Run: pip install 'nodegraph[{extra}]'",
        )


class UnavailableSchemeError(NodeGraphError):
    """A way to quantise needs something that this machine does not have."""

    code = "unavailable_scheme"

    def __init__(self, scheme: str, why: str) -> None:
        super().__init__(
            f"{scheme} can't be had here: {why}.",
            hint="int8_weight_only works everywhere.",
        )


class PickleRefusedError(NodeGraphError):
    """A weights file is a pickle, which can run code when it is loaded."""

    code = "pickle_refused"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} is a pickle (.ckpt, .pt, .bin), which can run code when it is loaded.",
            hint="Use the .safetensors version of this model. Or, with --allow-pickle (the setting"
            " allow_pickle), only its tensors are read, and nothing in it is run.",
        )


class UnsafePickleError(NodeGraphError):
    """A pickle asks for more than tensors when it is loaded."""

    code = "unsafe_pickle"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.name!r} is refused, although pickles are allowed: {reason}.",
            hint="Use the .safetensors version of this model.",
        )


class TruncatedFileError(NodeGraphError):
    """A weights file ends before its header says it should: a download that broke off."""

    code = "truncated_file"

    def __init__(self, path: Path, expected: int, found: int) -> None:
        super().__init__(
            f"{path.name!r} is incomplete: {found:,} bytes of {expected:,}.",
            hint="Download it again.",
        )


class AttentionUnavailableError(NodeGraphError):
    """The settings ask for attention kernels of a package that is not installed."""

    code = "attention_unavailable"

    def __init__(self, package: str) -> None:
        super().__init__(
            f"attention is to be computed by the package {package!r}, which is not installed.",
            hint=f"pip install {package}; or use --attention sdpa, which is always there.",
        )


class UnknownFamilyError(NodeGraphError):
    """A checkpoint belongs to no model family that is known here."""

    code = "unknown_family"

    def __init__(self, path: Path, seen: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{path.name!r} is of no known model family. Its weights: {seen}.",
            hint=f"Known families: {', '.join(known)}.",
        )


class NotALoraError(NodeGraphError):
    """A file of the LoRA folder holds no patches in any style that is known here."""

    code = "not_a_lora"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path.name!r} is no LoRA: none of its weights is a patch.",
            hint="LoRA, LoCon, LoHa, LoKr, DoRA and diff files are read.",
        )


class MissingWeightsError(NodeGraphError):
    """A checkpoint lacks weights that its family has, or has them in another shape."""

    code = "missing_weights"

    def __init__(self, path: Path, part: str, wrong: Sequence[str]) -> None:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        super().__init__(
            f"{path.name!r} does not hold a complete {part}: {', '.join(wrong[:3])}{more}.",
            hint="The file may be damaged, or hold only a part of the model.",
        )


class MissingPartError(NodeGraphError):
    """A workflow uses a part of a checkpoint that its file does not have."""

    code = "missing_part"

    def __init__(self, path: Path, part: str) -> None:
        super().__init__(
            f"{path.name!r} holds no {part}.", hint=f"Load a {part} from a file of its own."
        )


class BadMetadataError(NodeGraphError):
    """A checkpoint's metadata says something that has no meaning."""

    code = "bad_metadata"

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path.name!r}: the metadata's {what}.")


class LoraMismatchError(NodeGraphError):
    """Not one key of a LoRA fits the model, or it was clearly made for another family."""

    code = "lora_mismatch"

    def __init__(self, name: str, family: str, looks_like: str | None, seen: Sequence[str]) -> None:
        what = f"looks like one for {looks_like}" if looks_like else "was made for something else"
        super().__init__(
            f"LoRA {name!r} fits neither the model nor the text encoder, which are {family}'s: "
            f"it {what}. Its keys: {', '.join(seen)}, …",
            hint=f"Use a LoRA for {family}, or a model of the family that this one was made for.",
        )


class WrongConditioningError(NodeGraphError):
    """A conditioning was made by the text encoder of another family."""

    code = "wrong_conditioning"

    def __init__(self, what: str, found: int, expected: int) -> None:
        said = f"is {found} wide" if found else "is lacking"
        super().__init__(
            f"the conditioning's {what} {said}, this model's is {expected} wide.",
            hint="Encode the prompt with the CLIP that belongs to the model.",
        )


class WrongLatentError(NodeGraphError):
    """A latent does not fit the VAE that should decode it."""

    code = "wrong_latent"

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"the latent has {found} channels, this VAE's have {expected}.",
            hint="Use the VAE of the model that made the latent.",
        )


class WrongReferenceError(NodeGraphError):
    """A reference latent does not fit the model that should look at it."""

    code = "wrong_reference"

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"the reference latent has {found} channels, this model's latents have {expected}.",
            hint="Encode the picture with the VAE that belongs to the model.",
        )


class TooSmallPictureError(NodeGraphError):
    """A picture is smaller than one pixel of a latent."""

    code = "too_small_picture"

    def __init__(self, width: int, height: int, least: int) -> None:
        super().__init__(
            f"a picture of {width}x{height} pixels is too small to encode.",
            hint=f"It needs at least {least} pixels each way.",
        )


class TooLargeLatentError(NodeGraphError):
    """A latent has more patches than the model has positions for."""

    code = "too_large_latent"

    def __init__(self, width: int, height: int, most: int) -> None:
        super().__init__(
            f"a latent of {width}x{height} is too large for this model.",
            hint=f"It takes at most {most} each way: {most * 8} pixels.",
        )


class NotAVaeError(NodeGraphError):
    """A file of the VAE folder holds none that is known here."""

    code = "not_a_vae"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no VAE that is known here. Its weights: {seen}.",
            hint="VAEs for pictures with 4 or 16 latent channels are read.",
        )


class NotAnUpscalerError(NodeGraphError):
    """A file of the upscale models' folder holds none that is known here."""

    code = "not_an_upscaler"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(
            f"{path.name!r} holds no upscale model that is known here. Its weights: {seen}.",
            hint="ESRGAN and Real-ESRGAN models are read, and the compact ones of the latter.",
        )
