"""PhotoMaker (Li et al. 2023, arXiv:2312.04461): recognise its files and name their keys.

Names and sizes are those of https://github.com/TencentARC/PhotoMaker (Apache-2.0).
"""

from collections.abc import Iterable

from nodes.models.families.adapters.vision import clip_vision_config
from nodes.models.families.base.encoder_keys import vision_table
from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.shapes import first_in, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import Source

_PREFIXES = ("id_encoder.", "")
_MARK = "fuse_module.mlp1.fc1.weight"
_SECOND_VERSION = "qformer_perceiver.token_proj.0.weight"
_EYES = "eyes."


def photomaker_spec(header: Header) -> NetworkSpec:
    """Return the PhotoMaker in a file.

    Raises:
        UnrecognisedFileError: none, or not the first version.
        MissingWeightsError: it is incomplete.
        BadMetadataError: an override in the metadata has no meaning.
    """
    prefix = first_in(header, _PREFIXES, _MARK)
    if prefix is None or prefix + _SECOND_VERSION in header:
        raise UnrecognisedFileError(header.path, header.summary, code="not_a_photomaker")
    eyes = clip_vision_config(header, prefix)
    first = eyes.pop("projection_dim", 0)
    second = shape_of(header, f"{prefix}visual_projection_2.weight", "PhotoMaker")[0]
    config = {"eyes": eyes, "first": first, "second": second}
    return NetworkSpec("photomaker", "photomaker", config, prefix, photomaker_table)


def photomaker_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table: a CLIP vision encoder's, and PhotoMaker's own keys."""
    keys = list(keys)
    eyes = [key.removeprefix(_EYES) for key in keys if key.startswith(_EYES)]
    seen = {_EYES + key: source for key, source in vision_table(eyes, prefix).items()}
    return {key: seen.get(key, Source(prefix + key)) for key in keys}
