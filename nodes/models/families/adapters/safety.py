"""Safety checkers of Stable Diffusion: a CLIP vision encoder, and concepts to compare with.

Files have the layout of diffusers' `StableDiffusionSafetyChecker`, in which the encoder's names
have one more `vision_model.` in front.
"""

from dataclasses import replace

from nodes.models.families.base.errors import MissingWeightsError, UnrecognisedFileError
from nodes.models.weights.header import Header

_OUTER = "vision_model."
_MARK = "concept_embeds"
CONCEPTS = ("concept_embeds", "concept_embeds_weights")
SPECIAL = ("special_care_embeds", "special_care_embeds_weights")
"""The keys of the concepts' vectors, and of the similarities from which on they count."""


def unnest_encoder(header: Header) -> Header:
    """Return the header with the vision encoder's usual names.

    Raises:
        UnrecognisedFileError: it holds no concepts.
        MissingWeightsError: some of its tensors are missing.
    """
    if _MARK not in header:
        raise UnrecognisedFileError(header.path, header.summary, code="not_a_safety_checker")
    needed = (*CONCEPTS, *SPECIAL, "visual_projection.weight")
    missing = [f"no {key}" for key in needed if key not in header]
    if missing:
        raise MissingWeightsError(header.path, "safety checker", missing)
    nested = f"{_OUTER}{_OUTER}"
    tensors = {
        key.removeprefix(_OUTER) if key.startswith(nested) else key: info
        for key, info in header.tensors.items()
    }
    return replace(header, tensors=tensors)
