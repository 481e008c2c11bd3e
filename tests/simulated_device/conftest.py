"""The simulated device for tests: compiled when the first of them asks, skipped without a compiler.

Each worker of pytest loads it once and switches it on for the test that asks alone, so that all
other tests have the device that this machine has.
"""

from collections.abc import Iterator

import pytest
import torch

from tests.simulated_device.build import missing_tool
from tests.simulated_device.device import NAME, SimulatedDevice, load_device


@pytest.fixture(scope="session")
def loaded_device() -> SimulatedDevice:
    """The device, switched off. Where torch has a device already, it would hide that one."""
    if missing := missing_tool():
        pytest.skip(missing)
    other = torch.accelerator.current_accelerator(check_available=True)
    if other is not None and other.type != NAME:
        pytest.skip(f"this machine has an accelerator of its own: {other.type}")
    return load_device()


@pytest.fixture
def simulated(loaded_device: SimulatedDevice) -> Iterator[SimulatedDevice]:
    """The device, switched on, without limits, its counters at zero."""
    loaded_device.restore()
    loaded_device.switch(on=True)
    yield loaded_device
    loaded_device.restore()
    loaded_device.switch(on=False)
