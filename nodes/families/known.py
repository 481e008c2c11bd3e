"""Every family, and which of them a file belongs to."""

from nodes.errors import UnknownFamilyError
from nodes.families.family import Architecture, Family
from nodes.families.flux import FLUX
from nodes.families.sd2 import SD2
from nodes.families.sd3 import SD3
from nodes.families.sd15 import SD15
from nodes.families.sdxl import SDXL
from nodes.weights.header import Header

FAMILIES: tuple[Family, ...] = (SD15, SD2, SDXL, SD3, FLUX)


def architecture_of(header: Header) -> Architecture:
    """The architecture of a checkpoint.

    Raises:
        UnknownFamilyError: no family recognises it.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    for family in FAMILIES:
        if family.recognises(header):
            return family.read(header)
    known = [family.title for family in FAMILIES]
    raise UnknownFamilyError(header.path, header.summary, known)


def title_of(name: str) -> str:
    """What people call a family."""
    return next((family.title for family in FAMILIES if family.name == name), name)
