"""Text encoders in files of their own, and the family whose set they make up."""

from collections.abc import Collection, Sequence

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.language_models import language_model_of, missing_tokenizer
from nodes.models.families.base.spec import (
    EncoderName,
    EncoderSpec,
    HiddenStatePolicy,
    TextEncoderSet,
)
from nodes.models.families.base.text_encoders import encoder_names, read_encoder
from nodes.models.families.errors import TextEncoderError, UnknownTypeError
from nodes.models.families.registry import encoder_sets, loader_types
from nodes.models.weights.header import Header


def read_text_files(
    headers: Sequence[Header], kind: str | None = None
) -> tuple[TextEncoderSet, tuple[EncoderSpec, ...]]:
    """Return the set of text encoders that the files make up, and the encoder of each file.

    Args:
        headers: one file each, in any order.
        kind: the `type` of the loader; None: the only one there is for this number of files.

    Raises:
        UnknownTypeError: no family here has such text encoders.
        UnrecognisedFileError: a file holds something else.
        TextEncoderError: the family does not use one of them, or one is there twice.
        MissingWeightsError: one of them is there in part.
        MissingTokenizerError: one of them should bring its tokenizer along.
        BadMetadataError: an override in the metadata has no meaning.
    """
    known = loader_types(len(headers))
    kind = known[0] if kind is None else kind
    candidates = [each for each in encoder_sets(len(headers)) if each.loader_type == kind]
    if not candidates:
        raise UnknownTypeError(
            code="unknown_text_type",
            message=f"there is no model family here whose text encoders are of type {kind!r}.",
            known=known,
        )
    wanted = list(dict.fromkeys(name for each in candidates for name in each.policies))
    names: list[EncoderName] = [_name(header, wanted) for header in headers]
    fitting = [each for each in candidates if names[0] in each.policies]
    if not fitting and len(headers) == 1 and (alone := _set_of_writer(names[0], kind)):
        fitting, wanted = [alone], list(alone.policies)
    encoder_set = (*fitting, *candidates)[0]
    for number, (header, name) in enumerate(zip(headers, names, strict=True)):
        if name not in wanted:
            raise TextEncoderError(
                code="wrong_text_encoder",
                path=header.path,
                found=name,
                reason=f"which type {kind!r} does not use here",
                hint=f"It uses {', '.join(wanted)}.",
            )
        if name in names[:number]:
            raise TextEncoderError(
                code="repeated_text_encoder",
                path=header.path,
                found=name,
                reason="and so does another file",
                hint=f"Give each of {', '.join(wanted)} once.",
            )
    return encoder_set, tuple(
        _complete(header, read_encoder(header, "", name, encoder_set.policies[name]))
        for header, name in zip(headers, names, strict=True)
    )


def _set_of_writer(name: EncoderName, kind: str) -> TextEncoderSet | None:
    """Return the set of a language model that writes prompts for any model; None for others.

    Args:
        name: of the language model.
        kind: the type of the loader.
    """
    record = language_model_of(name)
    if record is None or not record.serves_all:
        return None
    chat = HiddenStatePolicy(reads_weights=False)
    return TextEncoderSet(name, {name: chat}, "single", kind, (1,))


def _complete(header: Header, spec: EncoderSpec) -> EncoderSpec:
    if spec.rules.lacks_vocabulary:
        raise missing_tokenizer(header.path, spec.network.name)
    return spec


def likeliest_name(header: Header) -> EncoderName:
    """Return the name of a file's text encoder, as far as the file tells.

    Raises:
        UnrecognisedFileError: it holds none that is known.
    """
    return _name(header, ())


def _name(header: Header, wanted: Collection[EncoderName]) -> EncoderName:
    """Return the wanted one of the names that a file's encoder may have, else the likeliest."""
    may_be = encoder_names(header)
    if not may_be:
        raise UnrecognisedFileError(header.path, header.summary, code="not_a_text_encoder")
    return next((name for name in may_be if name in wanted), may_be[0])
