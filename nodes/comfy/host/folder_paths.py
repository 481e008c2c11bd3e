"""`folder_paths`: the folders, and the files in them."""

import mimetypes
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.files.folders import MODEL_FOLDERS, WEIGHTS, inside
from nodegraph.graph.results import split_mark
from nodes.comfy.values import runtime

supported_pt_extensions = set(WEIGHTS)
filename_list_cache: dict[str, Any] = {}
extension_mimetypes_cache = {"webp": "image"}


class FileList(list[Any]):
    """The files of a model folder; choices that a pack puts before them are kept separately."""

    folder: str
    before: list[Any]

    @classmethod
    def with_choices(
        cls, folder: str, names: list[str], before: list[Any] | None = None
    ) -> "FileList":
        """Make a list of file names, after the choices in `before`."""
        files = cls([*(before or []), *names])
        files.folder, files.before = folder, list(before or [])
        return files

    def __radd__(self, first: list[Any]) -> "FileList":
        """Return a file list with more choices before the files."""
        names = self[len(self.before) :]
        return FileList.with_choices(self.folder, names, [*first, *self.before])


class FolderTable(MutableMapping[str, tuple[list[str], set[str]]]):
    """`folder_names_and_paths`: each model folder's paths and suffixes; packs may add some."""

    def __getitem__(self, name: str) -> tuple[list[str], set[str]]:
        """Return the paths and suffixes of a folder; those of a pack's own may be changed."""
        if name == "custom_nodes":
            return [str(runtime.current().custom_nodes)], set()
        if name in MODEL_FOLDERS:
            return get_folder_paths(name), set(WEIGHTS)
        found = runtime.current().added_folders[name]
        return found.paths, found.suffixes

    def __setitem__(self, name: str, value: Any) -> None:
        """Set the paths and suffixes of a pack's own folder; add paths to any other."""
        paths: list[str] = list(value[0])
        suffixes: set[str] = set(value[1]) if len(value) > 1 else set()
        if name not in MODEL_FOLDERS:
            runtime.current().added_folders[name] = runtime.AddedFolder(paths, suffixes)
            return
        for path in paths:
            add_model_folder_path(name, path)

    def __delitem__(self, name: str) -> None:
        """Forget a folder's paths that packs added."""
        runtime.current().added_folders.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """Yield the folders' names."""
        added = runtime.current().added_folders
        return iter(dict.fromkeys([*MODEL_FOLDERS, *added, "custom_nodes"]))

    def __len__(self) -> int:
        """Return the number of folders."""
        return len(list(iter(self)))


folder_names_and_paths = FolderTable()


def __getattr__(name: str) -> str:
    """Return the paths that packs read as module attributes; those for files are made."""
    found = {
        "base_path": lambda: str(runtime.current().base),
        "models_dir": lambda: str(runtime.files().folders.models[0].absolute()),
        "output_directory": get_output_directory,
        "temp_directory": get_temp_directory,
        "input_directory": get_input_directory,
        "user_directory": get_user_directory,
    }.get(name)
    if found is None:
        raise AttributeError(name)
    return found()


def get_output_directory() -> str:
    """Return the output folder of the run's user."""
    return _make_folder(runtime.files().folders.output)


def get_temp_directory() -> str:
    """Return the temp folder of the run's user."""
    return _make_folder(runtime.files().folders.temp)


def get_input_directory() -> str:
    """Return the input folder of the run's user."""
    return _make_folder(runtime.files().folders.input)


def _make_folder(folder: Path) -> str:
    """Return a folder that is there from now on: packs list it while they are imported."""
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder.absolute())


def get_user_directory() -> str:
    """Return a folder for packs' own data."""
    return _make_folder(runtime.current().scratch / "user")


def get_directory_by_type(type_name: str) -> str | None:
    """Return the output, temp or input folder."""
    found = {
        "output": get_output_directory,
        "temp": get_temp_directory,
        "input": get_input_directory,
    }.get(type_name)
    return found() if found else None


def get_folder_paths(folder_name: str) -> list[str]:
    """Return the directories of a model folder."""
    if _is_packs_own(folder_name):
        return list(folder_names_and_paths[folder_name][0])
    places = [str(path.absolute()) for path in runtime.files().folders.of_model(folder_name)]
    return [*places, *(path for path in _added_to(folder_name) if path not in places)]


def _added_to(folder_name: str) -> list[str]:
    """Return the directories that packs added to a model folder."""
    found = runtime.current().added_folders.get(folder_name)
    return found.paths if found else []


def _is_packs_own(folder_name: str) -> bool:
    """Return True for a folder that only packs know."""
    return folder_name not in MODEL_FOLDERS and folder_name in folder_names_and_paths


def add_model_folder_path(
    folder_name: str, full_folder_path: str, is_default: bool = False
) -> None:
    """Add a directory to a model folder, for packs' own look-ups."""
    added = runtime.current().added_folders.setdefault(folder_name, runtime.AddedFolder())
    if full_folder_path not in added.paths:
        added.paths.insert(0 if is_default else len(added.paths), full_folder_path)


def get_filename_list(folder_name: str) -> FileList:
    """Return the files of a model folder, by their paths below it.

    The list of a folder of a pack's own has no `folder`, unless it is one that the engine lists.
    """
    if _is_packs_own(folder_name):
        paths, suffixes = folder_names_and_paths[folder_name]
        names = {name for place in paths for name in recursive_search(place)[0]}
        files = filter_files_extensions(list(names), list(suffixes))
        return FileList.with_choices("" if suffixes != set(WEIGHTS) else folder_name, files)
    names = runtime.files().model_names(folder_name)
    for place in _added_to(folder_name):
        names += [name for name in recursive_search(place)[0] if name not in names]
    return FileList.with_choices(folder_name, sorted(names))


def get_full_path(folder_name: str, filename: str) -> str | None:
    """Return the path of a model file; None if there is none."""
    try:
        return str(runtime.files().models.source(folder_name, filename).absolute())
    except NodeGraphError:
        paths = (_path_below(place, filename) for place in get_folder_paths(folder_name))
        return next((str(path) for path in paths if path and path.is_file()), None)


def _path_below(folder: str, name: str) -> Path | None:
    """Return the path of a name in a folder; None if it leads out of it."""
    try:
        return inside(Path(folder), name)
    except NodeGraphError:
        return None


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """Return the path of a model file.

    Raises:
        NodeGraphError: there is none.
    """
    found = get_full_path(folder_name, filename)
    return found or str(runtime.files().models.source(folder_name, filename).absolute())


def recursive_search(
    directory: str, excluded_dir_names: list[str] | None = None
) -> tuple[list[str], dict[str, float]]:
    """Return the files below a directory, and the modification times of its directories."""
    names: list[str] = []
    changed: dict[str, float] = {}
    for path, below, files in os.walk(directory, followlinks=True):
        below[:] = [name for name in below if name not in (excluded_dir_names or ())]
        changed[path] = Path(path).stat().st_mtime
        names += [str((Path(path) / name).relative_to(directory)) for name in files]
    return names, changed


def filter_files_extensions(files: list[str], extensions: list[str]) -> list[str]:
    """Return the files that have one of the suffixes; without suffixes all."""
    wanted = tuple(extensions)
    return sorted(name for name in files if not wanted or name.lower().endswith(wanted))


def filter_files_content_types(files: list[str], content_types: list[str]) -> list[str]:
    """Return the files that are of a kind: `image`, `video` or `audio`."""
    kinds = {name: (mimetypes.guess_type(name)[0] or "").partition("/")[0] for name in files}
    return [name for name in files if kinds[name] in content_types]


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """Split `name [output]` into the name and the folder."""
    plain, kind = split_mark(name)
    return plain, get_directory_by_type(kind) if plain != name else None


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """Return the path of an input file; `name [output]` lies in the output folder."""
    plain, folder = annotated_filepath(name)
    return str(Path(folder or default_dir or get_input_directory()) / plain)


def exists_annotated_filepath(name: str) -> bool:
    """Return True if an input file exists."""
    return Path(get_annotated_filepath(name)).exists()


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """Return where to save: folder, name, next number, folder below the output, prefix.

    Raises:
        UnsafePathError: the prefix leads out of the folder.
    """
    from nodegraph.files.users.numbered import expand

    tokens = {"width": image_width, "height": image_height}
    prefix = expand(filename_prefix, tokens)
    runtime.files().saver.check_prefix(prefix)
    subfolder, _, name = prefix.replace("\\", "/").rpartition("/")
    folder = Path(output_dir) / subfolder
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [_number(path.name, name) for path in folder.iterdir()]
    return str(folder), name, max(numbers, default=0) + 1, subfolder, prefix


def _number(file: str, name: str) -> int:
    """Return the number of `name_00001_.png`; 0 for anything else."""
    if not file.lower().startswith(f"{name}_".lower()):
        return 0
    digits = file[len(name) + 1 :].partition("_")[0].partition(".")[0]
    return int(digits) if digits.isdecimal() else 0
