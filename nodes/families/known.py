"""Every family, and which of them a file belongs to."""

from collections.abc import Collection

from nodes.errors import UnknownFamilyError
from nodes.families.family import Architecture, Family, Layout
from nodes.families.flux import FLUX
from nodes.families.sd2 import SD2
from nodes.families.sd3 import SD3
from nodes.families.sd15 import SD15
from nodes.families.sdxl import SDXL
from nodes.weights.header import Header

FAMILIES: tuple[Family, ...] = (SD15, SD2, SDXL, SD3, FLUX)


def layout_of(family: str, encoders: Collection[str]) -> Layout:
    """How diffusers has a family with these text encoders.

    Args:
        family: its name, as `ModelSpec.family` has it.
        encoders: their names.

    Raises:
        KeyError: there is no such family.
    """
    layouts = {known.name: known.layouts for known in FAMILIES}[family]
    wanted = set(encoders)
    return next(
        (one for one in layouts if {p.name for p in one.text.values()} == wanted), layouts[0]
    )


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
