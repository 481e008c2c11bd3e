"""Files whose networks make tokens of pictures: FLUX.1 Redux, and USO's projector."""

from nodes.models.families.adapters.errors import NotAModelPatchError, NotAStyleModelError
from nodes.models.families.base.shapes import first_in, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import identity_table

_PART = "style model"
_MARK = "high_projection.weight"
_PREFIXES = ("feature_embedder.", "")


def style_spec(header: Header) -> NetworkSpec:
    """Which style model a file holds.

    Raises:
        NotAStyleModelError: none that is known here.
        MissingWeightsError: it is incomplete.
    """
    if "redux_up.weight" not in header:
        raise NotAStyleModelError(header.path, header.summary)
    inner, seen = header.shape("redux_up.weight")
    tokens = shape_of(header, "redux_down.weight", _PART)[0]
    config = {"seen": seen, "inner": inner, "tokens": tokens}
    return NetworkSpec("redux", "style", config, "", identity_table)


def projector_spec(header: Header) -> NetworkSpec:
    """Which model patch a file holds.

    Raises:
        NotAModelPatchError: none that is known here.
        MissingWeightsError: it is incomplete.
    """
    prefix = first_in(header, _PREFIXES, _MARK)
    if prefix is None:
        raise NotAModelPatchError(header.path, header.summary)
    part = "USO projector"
    tokens, patches = shape_of(header, f"{prefix}high_embedding_linear.0.weight", part)
    width, seen = shape_of(header, f"{prefix}high_projection.weight", part)
    config = {"patches": patches, "tokens": tokens, "seen": seen, "width": width}
    return NetworkSpec("projector", "projector", config, prefix, identity_table)
