"""GLIGEN files: how to recognise one."""

from nodes.models.families.adapters.errors import NotGligenError
from nodes.models.families.base.ldm_keys import UNET_PREFIX
from nodes.models.families.base.shapes import first_in
from nodes.models.weights.header import Header

GROUNDED = "position_net.linears.0.weight"
"""One of the weights that a U-Net has if it reads boxes, by the name that all layouts share."""
_PREFIXES = ("", UNET_PREFIX)


def gligen_prefix(header: Header) -> str:
    """Where the keys of GLIGEN's layers start.

    Raises:
        NotGligenError: the file has none.
    """
    prefix = first_in(header, _PREFIXES, GROUNDED)
    if prefix is None:
        raise NotGligenError(header.path, header.summary)
    return prefix
