"""What each kind of network offers to `nodes.networks.build`."""

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import nn

Build: TypeAlias = Callable[[dict[str, Any]], nn.Module]
"""From a configuration to the network."""
Builder: TypeAlias = Callable[[], Build]
"""Imports the network's class."""
