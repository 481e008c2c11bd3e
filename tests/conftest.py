"""Fixtures for the tests of every room."""

import pytest


@pytest.fixture(scope="module")
def one_thread():
    """Let torch use one thread, for sums that come out the same on every machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
