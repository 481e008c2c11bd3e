"""`comfy_api.latest.ui`: the UI output of nodes of the v3 contract, and helpers that save."""

from collections.abc import Mapping, Sequence
from typing import Any

from nodes.comfy.host.node_classes import call
from nodes.comfy.values.errors import NotOfferedError

_TEMP = "temp"
_SAVERS = {"flac": "SaveAudio", "mp3": "SaveAudioMP3", "opus": "SaveAudioOpus"}
"""The node types that save sounds, by format."""


class SavedResult(dict[str, Any]):
    """A saved file."""

    def __init__(self, filename: str, subfolder: str, type: Any) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=_folder(type))

    @property
    def filename(self) -> str:
        """The file's name."""
        return self["filename"]

    @property
    def subfolder(self) -> str:
        """The folder below that of its type."""
        return self["subfolder"]

    @property
    def type(self) -> str:
        """The folder: `output`, `temp` or `input`."""
        return self["type"]


class UiOutput:
    """A UI output."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def as_dict(self) -> dict[str, Any]:
        """Return it as in the v1 contract."""
        return self._values


_UIOutput = UiOutput


class SavedImages(UiOutput):
    """Saved images."""

    def __init__(self, results: Sequence[Any], is_animated: bool = False) -> None:
        super().__init__({"images": list(results)} | _moving(is_animated))
        self.results, self.is_animated = list(results), is_animated


class SavedAudios(UiOutput):
    """Saved sounds."""

    def __init__(self, results: Sequence[Any]) -> None:
        super().__init__({"audio": list(results)})
        self.results = list(results)


class PreviewText(UiOutput):
    """A text to show."""

    def __init__(self, value: str, **_more: object) -> None:
        super().__init__({"text": (value,)})


class PreviewImage(UiOutput):
    """Images to show without keeping them."""

    def __init__(self, image: Any, animated: bool = False, **_more: object) -> None:
        values = call("PreviewImage", {"images": image})["ui"]
        super().__init__(values | _moving(animated))


class PreviewMask(UiOutput):
    """Masks to show without keeping them."""

    def __init__(self, mask: Any, animated: bool = False, **_more: object) -> None:
        super().__init__(call("MaskPreview", {"mask": mask})["ui"] | _moving(animated))


class PreviewAudio(UiOutput):
    """Sounds to play without keeping them."""

    def __init__(self, audio: Any, **_more: object) -> None:
        super().__init__(call("PreviewAudio", {"audio": audio})["ui"])


class PreviewVideo(UiOutput):
    """Videos to play, which the node has saved."""

    def __init__(self, values: Sequence[Any], **_more: object) -> None:
        super().__init__({"images": list(values)} | _moving(True))


class PreviewUI3D(UiOutput):
    """A model file to show in three dimensions, with a camera."""

    def __init__(self, model_file: str, camera_info: Any, **more: Any) -> None:
        background = more.get("bg_image")
        super().__init__({"result": [model_file, camera_info, background]})


class ImageSaveHelper:
    """Saves images, with the run's workflow in the files."""

    @staticmethod
    def save_images(
        images: Any, filename_prefix: str, folder_type: Any = "output", *_: object, **_more: object
    ) -> list[SavedResult]:
        """Save images to the output folder, or to the temp folder under names of its own."""
        if _folder(folder_type) == _TEMP:
            return _save("PreviewImage", {"images": images})
        return _save("SaveImage", {"images": images, "filename_prefix": filename_prefix})

    @staticmethod
    def get_save_images_ui(images: Any, filename_prefix: str, **_more: object) -> SavedImages:
        """Save images to the output folder, and return their UI output."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix))

    @staticmethod
    def save_animated_png(
        images: Any,
        filename_prefix: str,
        folder_type: Any,
        cls: object = None,
        fps: float = 6.0,
        compress_level: int = 4,
    ) -> SavedResult:
        """Save images as one animated PNG in the output folder.

        Raises:
            NotOfferedError: another folder is wanted.
        """
        _need_output(folder_type)
        given = {"images": images, "filename_prefix": filename_prefix, "fps": fps}
        return _save("SaveAnimatedPNG", {**given, "compress_level": compress_level})[0]

    @staticmethod
    def get_save_animated_png_ui(
        images: Any,
        filename_prefix: str,
        cls: object = None,
        fps: float = 6.0,
        compress_level: int = 4,
    ) -> SavedImages:
        """Save images as one animated PNG, and return their UI output."""
        save = ImageSaveHelper.save_animated_png
        found = save(images, filename_prefix, "output", cls, fps, compress_level)
        return SavedImages([found], is_animated=True)

    @staticmethod
    def save_animated_webp(
        images: Any,
        filename_prefix: str,
        folder_type: Any,
        cls: object = None,
        fps: float = 6.0,
        lossless: bool = True,
        quality: int = 80,
        method: int = 4,
    ) -> SavedResult:
        """Save images as one animated WebP in the output folder.

        `method` is from 0, fast, to 6, small files.

        Raises:
            NotOfferedError: another folder is wanted.
        """
        _need_output(folder_type)
        effort = "fastest" if method < 2 else "default" if method < 6 else "slowest"
        given = {"images": images, "filename_prefix": filename_prefix, "fps": fps}
        more = {"lossless": lossless, "quality": quality, "method": effort}
        return _save("SaveAnimatedWEBP", {**given, **more})[0]

    @staticmethod
    def get_save_animated_webp_ui(
        images: Any,
        filename_prefix: str,
        cls: object = None,
        fps: float = 6.0,
        lossless: bool = True,
        quality: int = 80,
        method: int = 4,
    ) -> SavedImages:
        """Save images as one animated WebP, and return their UI output."""
        save = ImageSaveHelper.save_animated_webp
        found = save(images, filename_prefix, "output", cls, fps, lossless, quality, method)
        return SavedImages([found], is_animated=True)


class AudioSaveHelper:
    """Saves sounds."""

    @staticmethod
    def save_audio(
        audio: Any,
        filename_prefix: str,
        folder_type: Any,
        cls: object = None,
        format: str = "flac",
        quality: str = "128k",
    ) -> list[SavedResult]:
        """Save the sounds of a batch to the output folder, or FLAC to the temp folder.

        Args:
            audio: an AUDIO.
            filename_prefix: the beginning of the names.
            folder_type: the folder.
            cls: without effect.
            format: `flac`, `mp3` or `opus`.
            quality: of MP3 and Opus.

        Raises:
            NotOfferedError: there is no such format.
        """
        if _folder(folder_type) == _TEMP:
            return _save("PreviewAudio", {"audio": audio})
        if format not in _SAVERS:
            what = f"the sound format {format!r}"
            raise NotOfferedError(what, hint=f"There are {', '.join(_SAVERS)}.")
        given = {"audio": audio, "filename_prefix": filename_prefix}
        more = {} if format == "flac" else {"quality": quality}
        return _save(_SAVERS[format], {**given, **more})

    @staticmethod
    def get_save_audio_ui(
        audio: Any,
        filename_prefix: str,
        cls: object = None,
        format: str = "flac",
        quality: str = "128k",
    ) -> SavedAudios:
        """Save sounds to the output folder, and return their UI output."""
        save = AudioSaveHelper.save_audio
        return SavedAudios(save(audio, filename_prefix, "output", cls, format, quality))


def _folder(kind: Any) -> str:
    """Return the name of a folder, which may be a member of `FolderType`."""
    return str(getattr(kind, "value", kind))


def _need_output(folder_type: Any) -> None:
    if _folder(folder_type) != "output":
        what = f"saving an animated image to the folder {_folder(folder_type)!r}"
        raise NotOfferedError(what, hint="Save it to the output folder.")


def _save(name: str, inputs: Mapping[str, object]) -> list[SavedResult]:
    """Save with a node type of ours, and return the files."""
    shown: Mapping[str, Any] = call(name, inputs)["ui"]
    found = shown.get("images") or shown.get("audio") or []
    return [SavedResult(item["filename"], item["subfolder"], item["type"]) for item in found]


def _moving(animated: bool) -> dict[str, Any]:
    return {"animated": (True,)} if animated else {}
