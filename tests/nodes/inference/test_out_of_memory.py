"""What does not fit into memory ends a run with an error that says so."""

import json
import resource

import pytest
from click.testing import CliRunner

from nodegraph.cli import cli


@pytest.fixture
def at_most_a_tebibyte():
    """Some systems promise any amount of memory; this one does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**40, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.usefixtures("at_most_a_tebibyte")
def test_pictures_larger_than_the_memory_are_an_error_that_says_so(tmp_path, monkeypatch):
    size = {"width": 16384, "height": 16384, "batch_size": 4096, "color": 0}
    save = {"images": ["1", 0], "filename_prefix": "large"}
    types = {"1": ("EmptyImage", size), "2": ("SaveImage", save)}
    graph = {key: {"class_type": name, "inputs": given} for key, (name, given) in types.items()}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_PACKS", "nodes")

    done = CliRunner().invoke(cli, ["run", "-"], input=json.dumps(graph))

    assert done.exit_code == 1
    assert "EmptyImage ran out of memory: it asked for 12.0 TiB at once. [out_of" in done.stderr
    assert "Traceback" not in done.output
