"""`comfy_api.latest.ui`: the UI output of nodes of the v3 contract."""

from collections.abc import Sequence
from typing import Any

from nodes.comfy.host.node_classes import call


class SavedResult(dict[str, Any]):
    """A saved file."""

    def __init__(self, filename: str, subfolder: str, type: Any) -> None:
        folder = getattr(type, "value", type)
        super().__init__(filename=filename, subfolder=subfolder, type=str(folder))


class UiOutput:
    """A UI output."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def as_dict(self) -> dict[str, Any]:
        """Return it as in the v1 contract."""
        return self._values


class PreviewText(UiOutput):
    """A text to show."""

    def __init__(self, value: str, **_more: object) -> None:
        super().__init__({"text": (value,)})


class PreviewImage(UiOutput):
    """Images to show without keeping them."""

    def __init__(self, image: Any, animated: bool = False, **_more: object) -> None:
        values = call("PreviewImage", {"images": image})["ui"]
        super().__init__(values | ({"animated": (animated,)} if animated else {}))


class PreviewMask(UiOutput):
    """Masks to show without keeping them."""

    def __init__(self, mask: Any, **_more: object) -> None:
        super().__init__(call("MaskPreview", {"mask": mask})["ui"])


class SavedImages(UiOutput):
    """Saved images."""

    def __init__(self, results: Sequence[Any], is_animated: bool = False) -> None:
        values: dict[str, Any] = {"images": list(results)}
        super().__init__(values | ({"animated": (is_animated,)} if is_animated else {}))
        self.results = list(results)


class ImageSaveHelper:
    """Saves images."""

    @staticmethod
    def save_images(images: Any, filename_prefix: str, *_where: object, **_more: object) -> Any:
        """Save images to the output folder."""
        ui = call("SaveImage", {"images": images, "filename_prefix": filename_prefix})["ui"]
        return [SavedResult(**item) for item in ui["images"]]

    @staticmethod
    def get_save_images_ui(images: Any, filename_prefix: str, **_more: object) -> SavedImages:
        """Save images to the output folder, and return their UI output."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix))
