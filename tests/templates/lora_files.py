"""LoRAs for tiny models, in the names of the model's own file."""

from collections.abc import Callable

import torch

from tests.tiny_models.random_weights import Draw, Tensors

_RANK = 4
_PREFIX = "model.diffusion_model."


def lora_for(
    model: Callable[[], Tensors], *, widened: str = "", count: int = 8
) -> Callable[[], Tensors]:
    """Return the function that draws a LoRA for a model.

    Args:
        model: draws its tensors.
        widened: a matrix that becomes twice as wide, such as that of a control LoRA's latent.
        count: the most matrices that it changes.
    """

    def build() -> Tensors:
        draw, tensors = Draw(71), model()
        inside = [
            key
            for key, tensor in tensors.items()
            if tensor.ndim == 2 and "attn" in key.replace("attention", "attn")
        ]
        for key in inside[:count]:
            _change(draw, key, tensors[key].shape[0], tensors[key].shape[1])
        if widened:
            rows, columns = tensors[widened].shape
            _change(draw, widened, rows, 2 * columns)
        return draw.tensors

    return build


def _change(draw: Draw, key: str, rows: int, columns: int) -> None:
    stem = key.removesuffix(".weight").removeprefix(_PREFIX)
    name = f"diffusion_model.{stem}"
    draw.weight(f"{name}.lora_A.weight", _RANK, columns)
    draw.put(f"{name}.lora_B.weight", (rows, _RANK), 0.1)
    draw.tensors[f"{name}.alpha"] = torch.tensor(2.0, dtype=torch.float16)
