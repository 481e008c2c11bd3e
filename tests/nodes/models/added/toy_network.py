"""The network of a model family from outside, and what its distribution says of it."""

from types import SimpleNamespace

from torch import nn

from nodes.models.networks.base.builder import NetworkClass


class Net(nn.Module):
    """Two convolutions, and the text as a bias between them."""

    def __init__(self, in_channels, width, text):
        super().__init__()
        self.config = SimpleNamespace(in_channels=in_channels)
        self.inlet = nn.Conv2d(in_channels, width, 3, padding=1)
        self.reads = nn.Linear(text, width)
        self.outlet = nn.Conv2d(width, in_channels, 3, padding=1)

    def forward(self, x, tokens):
        return self.outlet((self.inlet(x) + self.reads(tokens.mean(1))[..., None, None]).tanh())


class Adapter:
    repeats_text = False
    patch_pixels = 1
    concat_raw = False

    def conditions(self, cond, size, branch):
        return cond

    def predict(self, module, x, timestep, cond):
        return module(x, cond.tokens.to(x))


NETWORK = NetworkClass(
    "toy_net", "toy network", lambda: lambda config: Net(**config), adapter=Adapter()
)
