"""The document against the live server: requests made from it, good and bad, and the replies."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_SEED = 20261121


def run_cases(server, folder, examples: int) -> int:
    """How many cases were run; fails if any of them did."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG), "run"]
    options = ["--checks", "all", "--max-examples", str(examples), "--seed", str(_SEED)]
    done = subprocess.run(
        [*command, f"{server.url}/openapi.json", *options, "--no-color"],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    (cases,) = re.findall(r"^\s+(\d+) generated, \1 passed", done.stdout, re.MULTILINE)
    return int(cases)


def test_what_the_document_says_is_so(server, tmp_path):
    assert run_cases(server, tmp_path, 5) > 300


@pytest.mark.slow
def test_what_the_document_says_is_so_in_thousands_of_cases(server, tmp_path):
    assert run_cases(server, tmp_path, 320) >= 5000
