"""Fixtures for the tests of every room."""

import gc
import os
import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell script
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that programs of tests hear it


def pytest_addoption(parser):
    """`--store postgres`: the tests of the server keep its queue in Postgres."""
    parser.addoption("--store", choices=["sqlite", "postgres"], default="sqlite")


def pytest_configure(config):
    """Tell the programs and helpers of tests, which see no configuration."""
    os.environ["TEST_STORE"] = config.getoption("--store")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """Leave the hundreds of thousands of objects that are there for good out of each collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", params=["S3", pytest.param("Azure", marks=pytest.mark.slow)])
def object_store(request, tmp_path_factory):
    """A store of each kind that all tests of a process share; each has a prefix of its own."""
    from tests.object_stores.azurite import azurite
    from tests.object_stores.seaweedfs import seaweedfs

    run = azurite if request.param == "Azure" else seaweedfs
    with run(tmp_path_factory.mktemp("objects")) as running:
        yield running


@pytest.fixture(scope="module")
def one_thread():
    """Let torch use one thread, for sums that come out the same on every machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
