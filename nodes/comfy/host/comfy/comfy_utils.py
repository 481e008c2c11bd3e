"""`comfy.utils`: files of tensors, progress, resizing."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image as PILImage
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodegraph.errors import NotHereError
from nodes.comfy.host.comfy.files import FileTensors
from nodes.comfy.host.previews import encode
from nodes.comfy.values import runtime
from nodes.imaging.resize import bislerp as bislerp
from nodes.imaging.resize import lanczos as lanczos
from nodes.imaging.resize import resize
from nodes.models.weights.errors import PickleRefusedError
from nodes.models.weights.header import is_pickle
from nodes.sampling.conditioning.regions import resize_mask

PROGRESS_BAR_ENABLED = True


class ProgressBar:
    """The progress of the running node."""

    def __init__(self, total: int, node_id: str | None = None) -> None:
        del node_id
        self.total = total
        self.current = 0

    def update_absolute(
        self, value: int, total: int | None = None, preview: object | None = None
    ) -> None:
        """Set the amount that is done, and show a preview; see `encode` in `previews.py`."""
        self.total = self.total if total is None else total
        self.current = min(value, self.total)
        running = runtime.context()
        if running:
            running.check_cancelled()
            running.progress(int(self.current), int(self.total))
            shown = encode(preview) if running.wants_preview else None
            if shown:
                running.preview(*shown)

    def update(self, value: int) -> None:
        """Add to the amount that is done."""
        self.update_absolute(self.current + value)


def load_torch_file(
    ckpt: str, safe_load: bool = True, device: Any = None, return_metadata: bool = False
) -> Any:
    """Load the tensors of a file; a pickle is never executed.

    Raises:
        PickleRefusedError: it is a pickle, and converting such is not allowed.
        NotHereError: it is a pickle that is not converted yet, and no node runs that would do it.
    """
    del safe_load
    path = _without_pickle(Path(ckpt))
    tensors = FileTensors(str(ckpt), load_file(path, device=str(device or "cpu")))
    return (tensors, _metadata(path)) if return_metadata else tensors


def _without_pickle(path: Path) -> Path:
    """Return the safetensors file made of a pickle; any other file as it is."""
    if not is_pickle(path):
        return path
    converted = runtime.files().models.sources.loadable(path, runtime.context())
    if converted is None:
        raise NotHereError(path.name, "converted")
    if converted == path:
        raise PickleRefusedError(path)
    return converted


def save_torch_file(
    sd: dict[str, Tensor], ckpt: str, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as safetensors."""
    save_file(sd, ckpt, metadata)


def common_upscale(
    samples: Tensor, width: int, height: int, upscale_method: str, crop: str
) -> Tensor:
    """Resize [batch, channels, (frames,) h, w]."""
    if samples.ndim == 5:
        frames = samples.movedim(2, 1)
        flat = frames.reshape(-1, *frames.shape[2:])
        resized = resize(flat, width, height, cast("Any", upscale_method), cast("Any", crop))
        return resized.reshape(*frames.shape[:2], *resized.shape[1:]).movedim(1, 2)
    return resize(samples, width, height, cast("Any", upscale_method), cast("Any", crop))


def repeat_to_batch_size(tensor: Tensor, batch_size: int, dim: int = 0) -> Tensor:
    """Repeat rows along `dim` until there are `batch_size`, or take the first ones."""
    have = tensor.shape[dim]
    index = torch.arange(batch_size, device=tensor.device) % have
    return tensor if have == batch_size else tensor.index_select(dim, index)


def reshape_mask(input_mask: Tensor, output_shape: Sequence[int]) -> Tensor:
    """Resize a mask, [batch, (channels,) h, w], to [batch, channels, h, w] of another shape."""
    batch, channels, *size = output_shape
    resized = resize_mask(input_mask.float(), (size[-2], size[-1]))
    return repeat_to_batch_size(resized.expand(-1, channels, -1, -1), batch)


def resize_to_batch_size(tensor: Tensor, batch_size: int) -> Tensor:
    """Resample the rows of a batch to `batch_size` rows."""
    if batch_size <= 1:
        return tensor[:batch_size]
    index = torch.linspace(0, tensor.shape[0] - 1, batch_size).round().long()
    return tensor[index]


def tiled_scale(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: str = "cpu",
    pbar: ProgressBar | None = None,
) -> Tensor:
    """Apply a function tile by tile, and blend the seams."""
    batch, _, height, width = samples.shape
    size = (round(height * upscale_amount), round(width * upscale_amount))
    total = torch.zeros(batch, out_channels, *size, device=output_device)
    weight = torch.zeros(1, 1, *size, device=output_device)
    for y in _starts(height, tile_y, overlap):
        for x in _starts(width, tile_x, overlap):
            tile = function(samples[..., y : y + tile_y, x : x + tile_x]).to(total)
            feather = _feather(tile.shape[-2:], round(overlap * upscale_amount)).to(total)
            top, left = round(y * upscale_amount), round(x * upscale_amount)
            place = (..., slice(top, top + tile.shape[-2]), slice(left, left + tile.shape[-1]))
            total[place] += tile * feather
            weight[place] += feather
            if pbar:
                pbar.update(1)
    return total / weight


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    """Return the number of tiles of `tiled_scale`."""
    rows, columns = (
        sum(1 for _ in _starts(side, tile, overlap))
        for side, tile in ((height, tile_y), (width, tile_x))
    )
    return rows * columns


def state_dict_prefix_replace(
    state_dict: dict[str, Any], replace_prefix: dict[str, str], filter_keys: bool = False
) -> dict[str, Any]:
    """Rename the prefixes of tensors' keys."""
    found = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for key in [key for key in state_dict if key.startswith(old)]:
            found[new + key[len(old) :]] = state_dict.pop(key)
    return found


def state_dict_key_replace(
    state_dict: dict[str, Any], keys_to_replace: dict[str, str]
) -> dict[str, Any]:
    """Rename tensors' keys, in place."""
    for old, new in keys_to_replace.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def calculate_parameters(sd: dict[str, Tensor], prefix: str = "") -> int:
    """Return the number of parameters."""
    return sum(value.nelement() for key, value in sd.items() if key.startswith(prefix))


def string_to_seed(data: str) -> int:
    """Return the CRC-32 of a text."""
    import zlib

    return zlib.crc32(data.encode())


def set_attr(obj: object, attr: str, value: object) -> object:
    """Set `a.b.c`, and return the previous value."""
    *path, last = attr.split(".")
    for name in path:
        obj = getattr(obj, name)
    before = getattr(obj, last)
    setattr(obj, last, value)
    return before


def get_attr(obj: object, attr: str) -> object:
    """Return `a.b.c`."""
    for name in attr.split("."):
        obj = getattr(obj, name)
    return obj


def pil2tensor(image: PILImage.Image) -> Tensor:
    """Convert a Pillow image to [1, height, width, channels]."""
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255.0)[None]


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def _starts(side: int, tile: int, overlap: int) -> Iterator[int]:
    """Yield where tiles begin; the last one ends at the end of the side."""
    at = 0
    while at + tile < side:
        yield at
        at += tile - overlap
    yield max(0, side - tile)


def _feather(size: torch.Size, overlap: int) -> Tensor:
    """Return weights that fall towards the edges: [1, 1, h, w]."""
    height, width = (_ramp(side, overlap) for side in size)
    return (height[:, None] * width[None, :])[None, None]


def _ramp(side: int, overlap: int) -> Tensor:
    at = torch.arange(side, dtype=torch.float32)
    return (torch.minimum(at, at.flip(0)) + 1).div(max(1, overlap)).clamp(max=1.0)
