"""Style models and model patches: FLUX.1 Redux, USO's projector, some ControlNets."""

from nodes.models.families.base.errors import UnrecognisedFileError
from nodes.models.families.base.shapes import first_in, shape_of
from nodes.models.families.base.spec import NetworkSpec
from nodes.models.families.controlnets import qwen_image_blockwise, z_image
from nodes.models.families.controlnets.spec import ControlSpec
from nodes.models.weights.header import Header
from nodes.models.weights.key_table import identity_table

_PART = "style model"
_MARK = "high_projection.weight"
_PREFIXES = ("feature_embedder.", "")
_CONTROLS = (z_image, qwen_image_blockwise)


def style_spec(header: Header) -> NetworkSpec:
    """Return the style model in a file.

    Raises:
        UnrecognisedFileError: none that is known here.
        MissingWeightsError: it is incomplete.
    """
    if "redux_up.weight" not in header:
        raise UnrecognisedFileError(header.path, header.summary, code="not_a_style_model")
    inner, seen = header.shape("redux_up.weight")
    tokens = shape_of(header, "redux_down.weight", _PART)[0]
    config = {"seen": seen, "inner": inner, "tokens": tokens}
    return NetworkSpec("redux", "style", config, "", identity_table)


def model_patch_spec(header: Header) -> NetworkSpec | ControlSpec:
    """Return the model patch in a file: USO's projector, or a ControlNet.

    Raises:
        UnrecognisedFileError: none that is known here.
        MissingWeightsError: it is incomplete.
    """
    for kind in _CONTROLS:
        if kind.recognises(header):
            return kind.read(header)
    return projector_spec(header)


def projector_spec(header: Header) -> NetworkSpec:
    """Return the model patch in a file.

    Raises:
        UnrecognisedFileError: none that is known here.
        MissingWeightsError: it is incomplete.
    """
    prefix = first_in(header, _PREFIXES, _MARK)
    if prefix is None:
        raise UnrecognisedFileError(header.path, header.summary, code="not_a_model_patch")
    part = "USO projector"
    tokens, patches = shape_of(header, f"{prefix}high_embedding_linear.0.weight", part)
    width, seen = shape_of(header, f"{prefix}high_projection.weight", part)
    config = {"patches": patches, "tokens": tokens, "seen": seen, "width": width}
    return NetworkSpec("projector", "projector", config, prefix, identity_table)
