"""Safety checkers of Stable Diffusion: a CLIP vision encoder, and concepts to compare with.

In the layout of diffusers' `StableDiffusionSafetyChecker`; the encoder's names stand below one more
`vision_model.` there.
"""

from dataclasses import replace

from nodes.models.families.adapters.errors import NotASafetyCheckerError
from nodes.models.families.base.errors import MissingWeightsError
from nodes.models.weights.header import Header

_OUTER = "vision_model."
_MARK = "concept_embeds"
CONCEPTS = ("concept_embeds", "concept_embeds_weights")
SPECIAL = ("special_care_embeds", "special_care_embeds_weights")
"""The vectors of concepts, and from which likeness on each of them counts."""


def without_outer(header: Header) -> Header:
    """The file with its encoder under the names that encoders in files of their own have.

    Raises:
        NotASafetyCheckerError: it holds no concepts.
        MissingWeightsError: it does not hold them all.
    """
    if _MARK not in header:
        raise NotASafetyCheckerError(header.path, header.summary)
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
