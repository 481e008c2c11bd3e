"""Every kind of ControlNet, and the choice of the one that a file holds."""

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.controlnets import flux, qwen_image, sd3, t2i_adapter, unet
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.weights.header import Header

DIFFERENCE = "difference"
"""A key of files that hold the difference from a model's own weights."""
_KINDS = (qwen_image, flux, sd3, unet, t2i_adapter)


def control_spec(header: Header) -> ControlSpec:
    """Return the ControlNet or T2I-Adapter in a file.

    Raises:
        UnrecognisedFileError: none that is known here.
        MissingWeightsError: it is incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    for kind in _KINDS:
        if kind.recognises(header):
            return kind.read(header)
    raise UnrecognisedFileError(header.path, header.summary, code="not_a_controlnet")
