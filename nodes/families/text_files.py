"""Text encoders in files of their own: which they are, and which family they serve together."""

from collections.abc import Mapping, Sequence

from nodes.families.encoders import READINGS, encoder_name, read_encoder
from nodes.families.family import EncoderName, EncoderSpec, TextStyle
from nodes.text_errors import (
    NotATextEncoderError,
    RepeatedTextEncoderError,
    UnknownTextTypeError,
    WrongTextEncoderError,
)
from nodes.weights.header import Header

TYPES: Mapping[int, Mapping[str, tuple[TextStyle, ...]]] = {
    1: {"stable_diffusion": ("sd15", "sd2", "sdxl_refiner"), "sd3": ("sd3",)},
    2: {"sdxl": ("sdxl",), "sd3": ("sd3",), "flux": ("flux",)},
    3: {"sd3": ("sd3",)},
}
"""By the number of files: what a type may mean; the encoders tell which."""


def read_text_files(
    headers: Sequence[Header], kind: str
) -> tuple[TextStyle, tuple[EncoderSpec, ...]]:
    """What the files are together: the style, and the encoder of each file.

    Args:
        headers: one file each, in any order.
        kind: as the loaders call it: `stable_diffusion`, `sdxl`, `sd3`, `flux`.

    Raises:
        UnknownTextTypeError: no family here has such text encoders.
        NotATextEncoderError: a file holds something else.
        WrongTextEncoderError: the family does not use one of them.
        RepeatedTextEncoderError: one of them is there twice.
        MissingWeightsError: one of them is there in part.
        BadMetadataError: an override in the metadata has no meaning.
    """
    known = TYPES[len(headers)]
    if kind not in known:
        raise UnknownTextTypeError(kind, tuple(known))
    names: list[EncoderName] = [_name(header) for header in headers]
    styles: tuple[TextStyle, ...] = known[kind]
    fitting: list[TextStyle] = [style for style in styles if names[0] in READINGS[style]]
    style = (*fitting, *styles)[0]
    wanted = [name for style in styles for name in READINGS[style]]
    for number, (header, name) in enumerate(zip(headers, names, strict=True)):
        if name not in wanted:
            raise WrongTextEncoderError(header.path, name, kind, wanted)
        if name in names[:number]:
            raise RepeatedTextEncoderError(header.path, name, wanted)
    readings = READINGS[style]
    return style, tuple(
        read_encoder(header, "", name, readings[name])
        for header, name in zip(headers, names, strict=True)
    )


def _name(header: Header) -> EncoderName:
    name = encoder_name(header)
    if name is None:
        raise NotATextEncoderError(header.path, sorted(header.tensors)[:3])
    return name
