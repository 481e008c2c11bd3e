"""`comfy.k_diffusion.utils`: what packs read there."""

from nodes.comfy.host.sampling.k_diffusion import append_dims as append_dims


class FolderOfImages:
    """Holds the suffixes of image files, by which packs look for them."""

    IMG_EXTENSIONS = frozenset(
        (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
    )
