"""Every path of `/v1` leads to an operation."""

from server.api.v1.operations import OPERATIONS
from server.api.v1.schema.paths import PATHS


def test_every_operation_has_a_path_and_every_path_an_operation():
    names = [operation.handler.__name__ for operation in OPERATIONS]

    assert sorted(names) == sorted(PATHS)


def test_no_two_operations_share_a_path():
    assert len(set(PATHS.values())) == len(PATHS)
