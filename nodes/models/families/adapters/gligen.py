"""GLIGEN files: how to recognise one."""

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.ldm_keys import UNET_PREFIX
from nodes.models.families.base.shapes import first_in
from nodes.models.weights.header import Header

GLIGEN_MARK = "position_net.linears.0.weight"
"""A weight of GLIGEN's layers, by the name that all layouts share."""
_PREFIXES = ("", UNET_PREFIX)


def gligen_prefix(header: Header) -> str:
    """Return the prefix of GLIGEN's keys.

    Raises:
        UnrecognisedFileError: the file has none.
    """
    prefix = first_in(header, _PREFIXES, GLIGEN_MARK)
    if prefix is None:
        raise UnrecognisedFileError(header.path, header.summary, code="not_gligen")
    return prefix
