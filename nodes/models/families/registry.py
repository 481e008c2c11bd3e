"""Every family, and which of them a file belongs to."""

from collections.abc import Collection
from functools import cache
from pkgutil import resolve_name
from typing import cast

from nodegraph.runtime.entry_points import entry_points
from nodes.models.families.base.licences import Release
from nodes.models.families.base.spec import Architecture, Family, Layout, TextEncoderSet
from nodes.models.families.errors import UnknownFamilyError
from nodes.models.weights.header import Header

GROUP = "nodes.model_families"
"""Entry points of distributions that add families: each names a `Family`."""
_OWN = (
    "nodes.models.families.denoisers.unets.sd15:SD15",
    "nodes.models.families.denoisers.unets.sd2:SD2",
    "nodes.models.families.denoisers.unets.lotus:LOTUS",
    "nodes.models.families.denoisers.unets.sdxl:SDXL",
    "nodes.models.families.denoisers.sd3:SD3",
    "nodes.models.families.denoisers.flux:FLUX",
    "nodes.models.families.denoisers.flux2:FLUX2",
    "nodes.models.families.denoisers.z_image:Z_IMAGE",
    "nodes.models.families.denoisers.qwen_image:QWEN_IMAGE",
    "nodes.models.families.denoisers.anima:ANIMA",
    "nodes.models.families.denoisers.qwen_image21:QWEN_IMAGE21",
    "nodes.models.families.denoisers.flux3:FLUX3",
    "nodes.models.families.denoisers.lumina2:LUMINA2",
    "nodes.models.families.denoisers.krea2:KREA2",
    "nodes.models.families.denoisers.chroma:CHROMA",
    "nodes.models.families.denoisers.longcat_image:LONGCAT_IMAGE",
)
"""A row for each family; a file belongs to the first that recognises it."""


@cache
def families() -> tuple[Family, ...]:
    """Return every family: our own, then those that installed distributions add."""
    places = (*_OWN, *entry_points(GROUP).values())
    return tuple(cast("Family", resolve_name(place)) for place in places)


def encoder_sets(files: int) -> tuple[TextEncoderSet, ...]:
    """Return the sets of text encoders that can come as this number of files."""
    return tuple(s for family in families() for s in family.encoder_sets if files in s.files)


def loader_types(files: int) -> tuple[str, ...]:
    """Return the `type`s of nodes that load this number of files of text encoders."""
    return tuple(dict.fromkeys(each.loader_type for each in encoder_sets(files)))


def layout_of(family: str, encoders: Collection[str]) -> Layout:
    """Return diffusers' layout of a family with these text encoders.

    Args:
        family: its name, as `ModelSpec.family` has it.
        encoders: their names.

    Raises:
        KeyError: there is no such family.
    """
    layouts = {known.name: known.layouts for known in families()}[family]
    wanted = set(encoders)
    return next(
        (one for one in layouts if {p.name for p in one.text.values()} == wanted), layouts[0]
    )


def architecture_of(header: Header) -> Architecture:
    """Return the architecture of a checkpoint.

    Raises:
        UnknownFamilyError: no family recognises it.
        MissingWeightsError: its weights are incomplete.
        BadMetadataError: its metadata has no meaning.
    """
    for family in families():
        if family.recognises(header):
            return family.read(header)
    known = [family.title for family in families()]
    raise UnknownFamilyError(header.path, header.summary, known)


def title_of(name: str) -> str:
    """Return the title of a family: its name for people."""
    return next((family.title for family in families() if family.name == name), name)


def releases_of(title: str) -> tuple[Release, ...]:
    """Return the published models of the family of this title; empty if there is none."""
    return next((family.releases for family in families() if family.title == title), ())
