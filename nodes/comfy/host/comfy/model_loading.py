"""`comfy_extras.chainner_models.model_loading`: upscale models of the tensors of a file."""

from collections.abc import Mapping

from torch import Tensor

from nodes.comfy.host.comfy.files import file_of, load_by_path
from nodes.comfy.values.upscaler import PackUpscaler


def load_state_dict(state_dict: Mapping[str, Tensor]) -> PackUpscaler:
    """Return the upscale model whose tensors `comfy.utils.load_torch_file` has loaded.

    Raises:
        NotOfferedError: the tensors are not those of a file, or it is in no folder of upscale
            models.
    """
    path = file_of(state_dict, "an upscale model")
    return load_by_path(path, "upscale_models", "UpscaleModelLoader")[0]
