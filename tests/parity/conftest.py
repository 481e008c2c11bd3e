"""Reference numbers were computed on one thread: sums come out the same only so."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _as_the_reference(one_thread):
    pass
