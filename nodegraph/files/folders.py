"""The folders that workflows name files in, and the checks that keep names inside them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from nodegraph.errors import UnsafePathError
from nodegraph.files.shards import INDEX

WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", INDEX)

MODEL_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "audio_encoders": ("audio_encoders",),
    "checkpoints": ("checkpoints",),
    "classifiers": ("classifiers",),
    "clip_vision": ("clip_vision",),
    "configs": ("configs",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "diffusers": ("diffusers",),
    "diffusion_models": ("unet", "diffusion_models"),
    "embeddings": ("embeddings",),
    "gligen": ("gligen",),
    "hypernetworks": ("hypernetworks",),
    "ipadapter": ("ipadapter",),
    "loras": ("loras",),
    "model_patches": ("model_patches",),
    "photomaker": ("photomaker",),
    "safety_checker": ("safety_checker",),
    "style_models": ("style_models",),
    "text_encoders": ("text_encoders", "clip"),
    "upscale_models": ("upscale_models",),
    "vae": ("vae",),
    "vae_approx": ("vae_approx",),
}
"""ComfyUI's model folders, and the directories below a models root that each one reads."""

SAVED = ("checkpoints", "clip", "diffusion_models", "loras", "vae")
"""Directories of the output folder that are model folders too: nodes save models there."""
FORMER_NAMES: Mapping[str, str] = {"unet": "diffusion_models", "clip": "text_encoders"}
_SUFFIXES: Mapping[str, tuple[str, ...]] = {"configs": (".yaml",), "classifiers": ("",)}


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders that files are read from and written to."""

    models: tuple[Path, ...]
    """Roots that hold `checkpoints/`, `loras/`, …; the first that has a file wins."""
    input: Path
    output: Path
    temp: Path
    more_models: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, tuple[Path, ...]])
    """Directories and single files beyond the roots, by model folder."""
    owner: str = ""
    """The user of the input, output and temp folder, where users have their own."""

    @classmethod
    def under(cls, root: Path) -> "Folders":
        """Return four folders side by side: `root/models`, `root/input` and so on."""
        return cls((root / "models",), root / "input", root / "output", root / "temp")

    def for_owner(self, owner: str) -> "Folders":
        """Return the same models, but that user's subfolders of the others; itself if empty."""
        if not owner:
            return self
        return replace(
            self,
            input=self.input / owner,
            output=self.output / owner,
            temp=self.temp / owner,
            owner=owner,
        )

    def saving_in(self, place: Path) -> "Folders":
        """Return folders to read the same files from, with results in `output` and `temp` there."""
        more = dict(self.more_models)
        for name, below in MODEL_FOLDERS.items():
            saved = tuple(self.output / directory for directory in below if directory in SAVED)
            more[name] = (*more.get(name, ()), *saved)
        return replace(self, output=place / "output", temp=place / "temp", more_models=more)

    def of_model(self, folder: str) -> list[Path]:
        """Return every directory and single file that a model folder reads, in order of search."""
        name = FORMER_NAMES.get(folder, folder)
        below = MODEL_FOLDERS.get(name, (name,))
        roots = [root / directory for root in self.models for directory in below]
        saved = [self.output / directory for directory in below if directory in SAVED]
        return [*roots, *self.more_models.get(name, ()), *saved]


def relative(name: str) -> PurePosixPath:
    """Return a name from a workflow as a path that stays below any folder it is joined to.

    A backslash separates too, so that workflows written on Windows find their files.

    Raises:
        UnsafePathError: it is absolute, empty or too long, or has `..` or a character in it
            that no file name has.
    """
    _check_characters(name)
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or (path.parts and path.parts[0].endswith(":")):
        raise UnsafePathError(name, "it is absolute")
    if ".." in path.parts:
        raise UnsafePathError(name, "it has '..' in it")
    if not path.parts:
        raise UnsafePathError(name, "it is empty")
    return path


def _check_characters(name: str) -> None:
    if any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in name):
        raise UnsafePathError(name, "it has a character in it that no file name has")
    longest = max(len(part.encode()) for part in name.split("/"))
    if longest > 255 or len(name) > 1000:
        raise UnsafePathError(name, "it is too long")


def inside(root: Path, name: str) -> Path:
    """Return `root/name`, checked not to lead out of `root`, not even by symbolic links.

    Raises:
        UnsafePathError: it leads out, or `relative` refuses the name.
    """
    path = root / relative(name)
    try:
        held = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise UnsafePathError(name, "its symbolic links have no end") from error
    if not held:
        raise UnsafePathError(name, "a symbolic link in it leads out of the folder")
    return path


def model_files(place: Path, folder: str) -> Iterator[str]:
    """Yield the names of the model files in a directory, at any depth, or of a single file."""
    if folder == "diffusers":
        yield from _diffusers(place)
        return
    if place.is_file():
        yield from (name for name in [place.name] if _fits(name, folder))
        return
    fitting = (name for name in _walk(place) if _fits(name, folder))
    yield from (name for name in fitting if (place / name).is_file())  # no broken links


def models_among(names: Iterable[str], folder: str) -> Iterator[str]:
    """Yield those of a directory's files that `model_files` would yield, of all their names."""
    for name in names:
        if folder == "diffusers":
            if name.endswith("/model_index.json"):
                yield name.removesuffix("/model_index.json")
        elif _fits(name, folder):
            yield name


def find_model(place: Path, folder: str, wanted: PurePosixPath) -> Path | None:
    """Return the path of the file that `model_files` lists as `wanted`; None if there is none."""
    if folder == "diffusers":
        return place / wanted if (place / wanted / "model_index.json").is_file() else None
    path = place if place.is_file() and place.name == str(wanted) else place / wanted
    return path if path.is_file() and _fits(path.name, folder) else None


def _fits(name: str, folder: str) -> bool:
    return name.lower().endswith(_SUFFIXES.get(folder, WEIGHTS))


def _diffusers(place: Path) -> Iterator[str]:
    """Yield the diffusers folders: each directory that holds a `model_index.json`."""
    indexes = (name for name in _walk(place) if name.endswith("/model_index.json"))
    yield from (name.removesuffix("/model_index.json") for name in indexes)


def _walk(root: Path) -> Iterator[str]:
    """Yield every file below `root` as a `/`-separated name; links to directories are followed."""
    seen: set[str] = set()
    for directory, below, files in os.walk(root, followlinks=True):
        real = os.path.realpath(directory)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        prefix = Path(directory).relative_to(root)
        yield from ((prefix / name).as_posix() for name in _visible(files))


def _visible(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))
