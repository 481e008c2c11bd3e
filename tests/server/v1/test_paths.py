"""What is imported later is found where the server says."""

from server.v1.operations import OPERATIONS
from server.v1.routes import PATHS


def test_every_operation_has_its_path_and_every_path_its_operation():
    assert [(each.method, each.path) for each in OPERATIONS] == list(PATHS)
