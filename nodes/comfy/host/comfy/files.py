"""Model files by path: packs load by path where nodes load by the name in a model folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nodes.comfy.host.folder_paths import get_filename_list, get_full_path
from nodes.comfy.host.node_classes import call
from nodes.comfy.values.errors import NotOfferedError


def load_by_path(path: str, folder: str, node_type: str, **inputs: object) -> Any:
    """Return the outputs of a loader node for a file, given by its path in the model folder.

    Args:
        path: of the file.
        folder: the model folder, such as `checkpoints`.
        node_type: the loader; its first input is the file's name.
        **inputs: its others.

    Raises:
        NotOfferedError: the file lies elsewhere.
    """
    return call(node_type, {_FIRST[node_type]: name_in_folder(path, folder), **inputs})


def name_in_folder(path: str, folder: str) -> str:
    """Return the name of a file in a model folder.

    Raises:
        NotOfferedError: it lies elsewhere.
    """
    end = Path(path).name
    for name in get_filename_list(folder):
        if name.endswith(end) and get_full_path(folder, name) == str(Path(path).absolute()):
            return str(name)
    what = f"a model file outside of the folder models/{folder}, {end!r}"
    raise NotOfferedError(what, hint="Move it there, or name its folder in `models_dir`.")


class FileTensors(dict[str, Tensor]):
    """The tensors of a model file, which remember the file.

    Args:
        path: of the file.
        tensors: all of its tensors, by key.
    """

    def __init__(self, path: str, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors)
        self.path = path
        self._seen = self._state()

    @property
    def is_unchanged(self) -> bool:
        """True if the tensors and their keys are still those of the file."""
        return self._seen == self._state()

    def _state(self) -> dict[str, tuple[int, int]]:
        return {key: (id(tensor), tensor._version) for key, tensor in self.items()}  # noqa: SLF001 - counts changes in place


def is_in_folder(tensors: Mapping[str, Tensor], folder: str) -> bool:
    """Return True for the unchanged tensors of a file in a model folder."""
    if not (isinstance(tensors, FileTensors) and tensors.is_unchanged):
        return False
    try:
        name_in_folder(tensors.path, folder)
    except NotOfferedError:
        return False
    return True


def file_of(tensors: Mapping[str, Tensor], what: str) -> str:
    """Return the path of the file that tensors were loaded from.

    Args:
        tensors: by key.
        what: they are, in words.

    Raises:
        NotOfferedError: they come from elsewhere, or the pack has changed them.
    """
    if isinstance(tensors, FileTensors) and tensors.is_unchanged:
        return tensors.path
    kind = f"{what} of tensors that are not a file's as they are"
    raise NotOfferedError(kind, hint="The result of `comfy.utils.load_torch_file` works.")


_FIRST = {
    "CheckpointLoaderSimple": "ckpt_name",
    "CLIPVisionLoader": "clip_name",
    "ControlNetLoader": "control_net_name",
    "LoraLoader": "lora_name",
    "LoraLoaderModelOnly": "lora_name",
    "StyleModelLoader": "style_model_name",
    "UNETLoader": "unet_name",
    "UpscaleModelLoader": "model_name",
}
