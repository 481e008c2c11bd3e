"""Checks on the files that a workflow loads, made before anything is computed; no torch."""

from collections.abc import Mapping

from nodegraph.files.files import Files
from nodes.imaging.errors import InputFileError

_MAGIC = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG, MPO
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",  # TIFF
    b"MM\0*",
    *(b"P%d" % kind for kind in range(1, 7)),  # PBM, PGM, PPM
)
_BRANDS = (b"WEBP", b"avif", b"avis", b"mif1")


def check_image(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the file named by `image` exists and begins as an image file does.

    Raises:
        UnknownFileError: no such file.
        InputFileError: it does not begin as any known image format.
    """
    name = inputs.get("image")
    if not isinstance(name, str):
        return
    path = files.input(name)
    with path.open("rb") as file:
        start = file.read(12)
    if not start:
        raise InputFileError(path, "the file is empty", code="not_an_image")
    if not start.startswith(_MAGIC) and start[8:12] not in _BRANDS:
        raise InputFileError(path, "it begins as no image does", code="not_an_image")


def check_prefix(inputs: Mapping[str, object], files: Files) -> None:
    """Check that `filename_prefix` stays in the output folder and makes a file name.

    Raises:
        UnsafePathError: it does not.
    """
    prefix = inputs.get("filename_prefix")
    if isinstance(prefix, str):
        files.saver.check_prefix(prefix)


def check_latent(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the file named by `latent` exists and is a safetensors file.

    Raises:
        UnknownFileError: no such file.
        InputFileError: it has no safetensors header.
    """
    name = inputs.get("latent")
    if not isinstance(name, str):
        return
    path = files.input(name)
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if not start.endswith(b"{") or length > path.stat().st_size - 8:
        raise InputFileError(
            path, "it is not a safetensors file, or breaks off", code="not_a_latent"
        )
