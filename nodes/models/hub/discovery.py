"""The choice of a repository's files for a reference."""

from collections.abc import Iterable, Sequence

from nodegraph.files.references import INDEX, HubReference
from nodegraph.files.shards import is_shard, one_set
from nodes.models.hub.errors import HubChoiceError, HubFileError

_SMALL = (".json", ".txt", ".model")
_UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts of a diffusers folder that no loader here opens."""


def choose(reference: HubReference, names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the path that a reference means, and the files that are needed for it.

    A file's path means that file. A repository or a folder means its only `.safetensors` file; or,
    if it has several or none, the diffusers folder around its `model_index.json`.

    Args:
        reference: the reference.
        names: every file of the repository, at its revision.

    Raises:
        HubFileError: there is no such file or folder.
        HubChoiceError: there are several candidates, or none.
    """
    path = reference.path.rstrip("/")
    folder = path.removesuffix(INDEX).rstrip("/") if _names_index(path) else path
    if path in names and not _names_index(path):
        if not reference.names_file:
            raise HubChoiceError(reference, [])
        return path, [path]
    inside = _below(names, folder)
    if reference.names_file or not inside or (_names_index(path) and INDEX not in inside):
        raise HubFileError(reference, names)
    weights = [n for n in inside if "/" not in n and n.endswith(".safetensors") and not is_shard(n)]
    prefix = f"{folder}/" if folder else ""
    if len(weights) == 1 and not _names_index(path):
        return prefix + weights[0], [prefix + weights[0]]
    if INDEX not in inside:
        raise HubChoiceError(reference, [prefix + name for name in weights])
    return folder, [prefix + name for name in _diffusers(inside)]


def _names_index(path: str) -> bool:
    return path == INDEX or path.endswith(f"/{INDEX}")


def _below(names: Iterable[str], folder: str) -> list[str]:
    """Return the files below a folder, by their paths in it."""
    prefix = f"{folder}/" if folder else ""
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def _diffusers(names: Sequence[str]) -> list[str]:
    """Return the files needed to load a diffusers folder: one set of weights for each part."""
    parts = sorted({n.partition("/")[0] for n in names if n.count("/") == 1} - {*_UNUSED})
    chosen = [INDEX]
    for part in parts:
        inside = [n for n in names if n.startswith(f"{part}/") and n.count("/") == 1]
        weights = one_set(inside)
        small = [
            n for n in inside if n.endswith(_SMALL) and (".index." not in n or len(weights) > 1)
        ]
        if weights or not any(n.endswith((".bin", ".msgpack", ".onnx")) for n in inside):
            chosen += [*small, *weights]
    return chosen
