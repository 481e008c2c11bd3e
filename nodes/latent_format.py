"""What a VAE's latents are to the model."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """How a VAE's latents relate to what the model sees: `model = (raw - shift) * scale`."""

    channels: int
    downscale: int
    scale: float | tuple[float, ...]
    """One number, or one a channel."""
    shift: float | tuple[float, ...] = 0.0

    def to_model(self, raw: Tensor) -> Tensor:
        """From the VAE's space to the model's; same shape."""
        return (raw - _each(self.shift, raw)) * _each(self.scale, raw)

    def to_raw(self, latent: Tensor) -> Tensor:
        """From the model's space to the VAE's; same shape."""
        return latent / _each(self.scale, latent) + _each(self.shift, latent)


def _each(value: float | tuple[float, ...], x: Tensor) -> float | Tensor:
    """A number a channel as it multiplies [batch, channels, …]."""
    return x.new_tensor(value).view(-1, *[1] * (x.ndim - 2)) if isinstance(value, tuple) else value
