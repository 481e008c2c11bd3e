"""Every kind of network that steers another, and which of them a file holds."""

from nodes.models.families.controlnets import flux, sd3, t2i_adapter, unet
from nodes.models.families.controlnets.errors import NotAControlNetError
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.weights.header import Header

DIFFERENCE = "difference"
"""A key of files that hold the difference to a model's own weights."""
_KINDS = (flux, sd3, unet, t2i_adapter)


def control_of(header: Header) -> ControlSpec:
    """What a file of the ControlNet folder holds.

    Raises:
        NotAControlNetError: none that is known here.
        MissingWeightsError: it is incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    for kind in _KINDS:
        if kind.recognises(header):
            return kind.read(header)
    raise NotAControlNetError(header.path, header.summary)
