"""A working directory, and a pack of toy nodes, for whoever tests the command line."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nodegraph.cli import cli
from tests.nodegraph.install_pack import install

TOYS = '''
import time
from typing import Annotated

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.definition.markers import Optional
from nodegraph.graph.results import Ui


@node("Steps", category="test")
def steps(
    ctx: Context,
    steps: Annotated[int, Field(ge=1, le=1000)],
    seed: Annotated[int, Optional()] = 0,
    pause: Annotated[float, Optional()] = 0.0,
) -> str:
    """Take some steps."""
    for k in range(steps):
        ctx.check_cancelled()
        time.sleep(pause)
        ctx.progress(k + 1, steps)
    return str(seed)


@node("Write", category="test", output_node=True)
def write(ctx: Context, text: str, filename_prefix: Annotated[str, Optional()] = "text") -> Ui:
    """Write a text file."""
    return Ui({"texts": [ctx.files.save("output", filename_prefix, ".txt", text.encode())]})


@node("Peek", category="test", output_node=True)
def peek(ctx: Context, text: str) -> Ui:
    """Write a file to look at once."""
    ctx.notice("have a look.")
    return Ui({"texts": [ctx.files.save("temp", "peek", ".txt", text.encode())]})


@node("Boom", category="test")
def boom(text: str) -> str:
    """Fail."""
    raise ZeroDivisionError(text)
'''
INIT = (
    "from nodegraph.definition.pack import Pack\nPACK = Pack('toys', '1.0', ('toys_pack.toys',))\n"
)


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """A folder with a pack of toy nodes installed in it, and a cache that knows it."""
    root = tmp_path_factory.mktemp("toys")
    install(root, "toys", init=INIT, toys=TOYS)
    return root


@pytest.fixture
def here(tmp_path, monkeypatch, toys):
    """A working directory with an output folder, where the toy pack is the only one."""
    for name in ("models/checkpoints", "input", "output"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(toys)
    monkeypatch.setenv("NODEGRAPH_PACKS", "toys")
    monkeypatch.setenv("NODEGRAPH_CACHE_DIR", str(toys / "cache"))
    return tmp_path


@pytest.fixture
def invoke(here):
    """Run a command in this process."""

    def call(*args, **kwargs):
        return CliRunner().invoke(cli, [str(arg) for arg in args], **kwargs)

    return call


@pytest.fixture
def spawn(here, toys):
    """Start the program as users do."""
    started = []

    def start(*args):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(toys), *sys.path])}
        command = [sys.executable, "-m", "nodegraph", *(str(arg) for arg in args)]
        child = subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.fixture
def workflow(here):
    """Write a workflow file: `workflow(a=("Steps", {"seed": 1}))`."""

    def write(name="workflow.json", /, **nodes):
        data = {
            key: {"class_type": type_name, "inputs": inputs}
            for key, (type_name, inputs) in nodes.items()
        }
        path = here / name
        path.write_text(json.dumps(data))
        return path

    return write


@pytest.fixture
def simple(workflow):
    """Steps whose result is written to a file."""
    return workflow(
        steps=("Steps", {"steps": 3, "seed": 5}),
        out=("Write", {"text": ["steps", 0]}),
    )
