"""The transformer of Qwen-Image (Wu et al. 2025, arXiv:2508.02324)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.base.centred_positions import places, turn
from nodes.models.networks.base.errors import TooManyReferencesError
from nodes.models.networks.base.patchify import PATCH, pad_to_patch, patchify, unpatchify
from nodes.models.networks.base.reference_latents import (
    METHOD,
    Method,
    name_references,
    place,
)
from nodes.models.networks.base.text_inputs import text
from nodes.models.networks.denoisers.flux import ExactTimestep, pad_residuals
from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch
from nodes.sampling.conditioning.latents import LAYERED
from nodes.sampling.conditioning.state_residuals import STATES, StateResidual

Shape: TypeAlias = tuple[int, int, int]
"""The frames, rows and columns of patches of a picture."""
_METHODS: tuple[Method, ...] = ("index", "index_timestep_zero")
"""The ways to read references; the first is the usual one."""


class QwenImageConfig(Protocol):
    """The entries of a configuration that are read here."""

    joint_attention_dim: int
    use_additional_t_cond: bool


class TimedBlock(Protocol):
    """The entry of a block that is changed here."""

    zero_cond_t: bool


class QwenImage(Protocol):
    """The interface of diffusers' Qwen-Image transformer."""

    config: QwenImageConfig
    transformer_blocks: Sequence["TimedBlock"]
    zero_cond_t: bool

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        *,
        timestep: ExactTimestep,
        img_shapes: list[list[Shape]],
        controlnet_block_samples: tuple[Tensor, ...] | None,
        additional_t_cond: Tensor | None,
        return_dict: bool,
    ) -> tuple[Tensor]:
        """Return the velocity of every patch, shaped as `hidden_states`."""
        ...


class QwenImageAdapter:
    """Calls a Qwen-Image transformer; see `nodes.models.networks.base.builder.Adapter`."""

    repeats_text = False
    patch_pixels = PATCH**2
    concat_raw = False

    def conditions(self, cond: Cond, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the references as tensors, and at the time that a node chose.

        Raises:
            ReferenceMethodError: the node chose a method of other models.
        """
        del size, branch
        extras = name_references(cond.extras, _METHODS)
        alterations = cond.alterations
        if extras.keys() - cond.extras.keys() and METHOD in cond.extras:
            alterations += (ReferenceTime(at_zero=cond.extras[METHOD] == _METHODS[1]),)
        return replace(cond, extras=extras, alterations=alterations)

    def predict(self, module: nn.Module, x: Tensor, timestep: Tensor, cond: CondBatch) -> Tensor:
        """Run the transformer, and return the velocity.

        The layers of a latent, [batch, channels, layers, h, w], are read one after another.

        Raises:
            WrongConditioningError: text encoders of another family made the conditions.
            ChannelMismatchError: references are of another family.
            TooManyReferencesError: there are several for a model of layers.
        """
        model = cast("QwenImage", module)
        height, width = x.shape[-2:]
        layers = [pad_to_patch(each, PATCH) for each in _layers(x)]
        others = [each for each, _ in place(cond.extras, layers[0], PATCH)]
        layered = model.config.use_additional_t_cond
        if layered and len(others) > 1:
            raise TooManyReferencesError(len(others), 1)
        stack = torch.cat([patchify(each) for each in layers], dim=1)
        seen = torch.cat([stack, *(patchify(each) for each in others)], dim=1)
        shape = (len(layers), *shape_in_patches(layers[0])[1:])
        (output,) = model(
            seen,
            text(cond, x, model.config.joint_attention_dim),
            timestep=TimeAndZero(timestep),
            img_shapes=[[shape, *(shape_in_patches(each) for each in others)]] * len(x),
            controlnet_block_samples=_residuals(cond, seen),
            additional_t_cond=_with_alpha(x) if layered else None,
            return_dict=False,
        )
        own = output[:, : stack.shape[1]].chunk(len(layers), dim=1)
        made = [unpatchify(each, layers[0].shape[-2])[..., :height, :width] for each in own]
        return torch.stack(made, dim=2) if x.ndim == LAYERED else made[0]


def _layers(x: Tensor) -> Sequence[Tensor]:
    """Return the layers of a latent, [batch, channels, h, w] each: itself if it has none."""
    return x.unbind(2) if x.ndim == LAYERED else (x,)


def _with_alpha(x: Tensor) -> Tensor:
    """Return the kind of picture that Qwen-Image-Layered makes, for all samples: with alpha."""
    return torch.zeros(1, dtype=torch.long, device=x.device)


def _residuals(cond: CondBatch, patches: Tensor) -> tuple[Tensor, ...] | None:
    """Return what ControlNets add to the output of each block, of the picture and references."""
    fixed = pad_residuals(cond.residuals.get("blocks"), patches)
    made = cast("tuple[StateResidual, ...]", cond.residuals.get(STATES, ()))
    if not made:
        return fixed
    if fixed is not None:
        made = tuple(own.beside(state) for own, state in zip(made, fixed, strict=True))
    return cast("tuple[Tensor, ...]", made)


def shape_in_patches(latent: Tensor) -> Shape:
    """Return the shape of a latent, [batch, channels, h, w], in patches."""
    return 1, latent.shape[-2] // PATCH, latent.shape[-1] // PATCH


@dataclass(frozen=True, slots=True)
class ReferenceTime:
    """Puts references to time zero, or to that of the picture; see `Method`."""

    at_zero: bool

    def alter(self, network: nn.Module) -> None:
        """Change a network; see `nodes.sampling.conditioning.cond.Alteration`."""
        model = cast("QwenImage", network)
        for each in (model, *model.transformer_blocks):
            each.zero_cond_t = self.at_zero


class TimeAndZero(ExactTimestep):
    """An exact timestep that time zero can be appended to, as diffusers does for references."""

    __slots__ = ()

    @property
    def device(self) -> torch.device:
        """The device of the timestep."""
        return self.level.device

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Tensor],
        types: object,
        arguments: tuple[Any, ...],
        options: Mapping[str, Any] | None = None,
    ) -> "TimeAndZero":
        """Apply one of torch's functions, `cat`, to timesteps, which stay exact."""
        del types
        (parts,) = arguments
        levels = [part.level if isinstance(part, ExactTimestep) else part for part in parts]
        return cls(function(levels, **(options or {})))


class CentredPositions(nn.Module):
    """Rotary positions of pictures, counted from their centres, and of the text after them.

    diffusers has tables of them, which end at 4096, and which a network without weights lacks.

    Args:
        axes: the numbers of a head that turn with frame, row and column.
        layered: the first picture has layers, which are its frames; the next one is before them.
    """

    def __init__(self, axes: Sequence[int], *, layered: bool = False) -> None:
        super().__init__()
        self.axes = tuple(axes)
        self.layered = layered

    def forward(
        self, video_fhw: list[list[Shape]], max_txt_seq_len: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Return the turns of pictures and of the text, complex: [patches or tokens, head / 2].

        Args:
            video_fhw: the pictures of each sample, which are the same in all.
            max_txt_seq_len: the tokens of the text.
            device: of the results.
        """
        pictures = tuple(video_fhw[0])
        return _turns(self.axes, pictures, max_txt_seq_len, device, layered=self.layered)


@lru_cache(maxsize=16)
def _turns(
    axes: tuple[int, ...],
    pictures: tuple[Shape, ...],
    length: int,
    device: torch.device,
    *,
    layered: bool,
) -> tuple[Tensor, Tensor]:
    """Return the turns, made once, as steps have the same sizes; see `CentredPositions`."""
    step = -1 if layered else 1
    seen = torch.cat(
        [
            places(step * number, *shape[1:], frames=shape[0])
            for number, shape in enumerate(pictures)
        ]
    )
    start = max(max(rows, columns) // 2 for _, rows, columns in pictures)
    start = max(start, pictures[0][0]) if layered else start
    words = torch.arange(start, start + length, device="cpu")[:, None].expand(-1, 3)
    return turn(axes, seen).to(device), turn(axes, words).to(device)


@cache
def _exact_timesteps() -> Callable[..., nn.Module]:
    from diffusers.models.embeddings import Timesteps

    class ExactTimesteps(Timesteps):
        """The sines and cosines of timesteps, which are not rounded before."""

        def forward(self, timesteps: Tensor | ExactTimestep) -> Tensor:
            """Return [batch, channels] float32."""
            return super().forward(timesteps * 1)

    return ExactTimesteps


def keep_exact(network: nn.Module, config: Mapping[str, Any]) -> nn.Module:
    """Let a transformer, or a ControlNet for it, have exact timesteps, and positions of any number.

    Args:
        network: changed.
        config: its configuration.

    Returns:
        The network.
    """
    model = cast("Any", network)
    before = model.time_text_embed.time_proj
    model.time_text_embed.time_proj = _exact_timesteps()(
        before.num_channels, before.flip_sin_to_cos, before.downscale_freq_shift, before.scale
    )
    layered = config.get("use_layer3d_rope", False)
    model.pos_embed = CentredPositions(config["axes_dims_rope"], layered=layered)
    return network


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel

    def build(config: dict[str, Any]) -> nn.Module:
        return keep_exact(cast("nn.Module", QwenImageTransformer2DModel(**config)), config)

    return build


NETWORK = NetworkClass(
    "qwen_image",
    "transformer",
    builder,
    adapter=QwenImageAdapter(),
    half_dtype=torch.bfloat16,  # its numbers grow too large for float16
    keeps_quantized=True,
    repeated_blocks=("QwenImageTransformerBlock",),
)
