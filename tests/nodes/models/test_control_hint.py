"""A ControlNet's hint that the runs of two threads share: each gets the latent of its size."""

from collections.abc import Callable

import torch
from torch import Tensor

from nodes.models.networks.base.control_hint import ControlHint
from nodes.sampling.conditioning.latents import LatentFormat

FORMAT = LatentFormat(3, 2, 1.0)
SIZES = ((4, 4), (6, 8))


class Halving:
    """An encoder that makes pictures smaller, and counts its calls."""

    channels = 3

    def __init__(self):
        self.calls = 0

    def encode(self, picture: Tensor) -> Tensor:
        self.calls += 1
        return torch.nn.functional.avg_pool2d(picture, 2)


class Interrupted(dict[tuple[int, int], Tensor]):
    """A dict in which another run gets its turn after each look-up."""

    def __init__(self):
        super().__init__()
        self.other: Callable[[], object] | None = None

    def let_other_run(self):
        other, self.other = self.other, None
        if other is not None:
            other()
            self.other = other

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.let_other_run()
        return found

    def get(self, key, default=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        found = super().get(key, default)
        self.let_other_run()
        return found


def test_two_runs_of_different_sizes_get_their_own_latents():
    latents = Interrupted()
    hint = ControlHint(torch.rand(1, 3, 16, 16), Halving(), _latents=latents)
    alone = [ControlHint(hint.picture, Halving()).latent(*size, FORMAT) for size in SIZES]
    hint.latent(*SIZES[0], FORMAT)
    others: list[Tensor] = []
    latents.other = lambda: others.append(hint.latent(*SIZES[1], FORMAT))

    for _ in range(3):
        assert torch.equal(hint.latent(*SIZES[0], FORMAT), alone[0])

    assert len(others) == 3
    assert all(torch.equal(other, alone[1]) for other in others)


def test_the_latent_of_a_size_is_encoded_once():
    encoder = Halving()
    hint = ControlHint(torch.rand(1, 3, 16, 16), encoder)

    first, again = (hint.latent(4, 4, FORMAT) for _ in range(2))

    assert first is again
    assert encoder.calls == 1
