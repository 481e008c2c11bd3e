"""Text encoders in files of their own: which they are, and which family they serve together."""

from collections.abc import Sequence

from nodes.models.families.base.spec import EncoderName, EncoderSpec, TextStyle
from nodes.models.families.base.text_encoders import encoder_name, read_encoder
from nodes.models.families.errors import (
    NotATextEncoderError,
    RepeatedTextEncoderError,
    UnknownTextTypeError,
    WrongTextEncoderError,
)
from nodes.models.families.registry import loader_types, text_styles
from nodes.models.weights.header import Header


def read_text_files(
    headers: Sequence[Header], kind: str | None = None
) -> tuple[TextStyle, tuple[EncoderSpec, ...]]:
    """What the files are together: the style, and the encoder of each file.

    Args:
        headers: one file each, in any order.
        kind: the `type` of the loader; None: the only one there is for so many files.

    Raises:
        UnknownTextTypeError: no family here has such text encoders.
        NotATextEncoderError: a file holds something else.
        WrongTextEncoderError: the family does not use one of them.
        RepeatedTextEncoderError: one of them is there twice.
        MissingWeightsError: one of them is there in part.
        BadMetadataError: an override in the metadata has no meaning.
    """
    known = loader_types(len(headers))
    kind = known[0] if kind is None else kind
    styles = [style for style in text_styles(len(headers)) if style.loader_type == kind]
    if not styles:
        raise UnknownTextTypeError(kind, known)
    names: list[EncoderName] = [_name(header) for header in headers]
    fitting = [style for style in styles if names[0] in style.readings]
    style = (*fitting, *styles)[0]
    wanted = [name for style in styles for name in style.readings]
    for number, (header, name) in enumerate(zip(headers, names, strict=True)):
        if name not in wanted:
            raise WrongTextEncoderError(header.path, name, kind, wanted)
        if name in names[:number]:
            raise RepeatedTextEncoderError(header.path, name, wanted)
    return style, tuple(
        read_encoder(header, "", name, style.readings[name])
        for header, name in zip(headers, names, strict=True)
    )


def _name(header: Header) -> EncoderName:
    name = encoder_name(header)
    if name is None:
        raise NotATextEncoderError(header.path, sorted(header.tensors)[:3])
    return name
