"""The locks of the images hold what pyproject.toml asks for, as constraints.txt pins it."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.deploy.reading import LOCKS, ROOT, normal, pins

DEVICES = ("cpu", "cuda")
REMAKE = "remake the locks with `make locks`"


def wanted():
    """The requirements of the project, and of the extras that the Makefile names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    makefile = (ROOT / "Makefile").read_text()
    found = re.search(r"^IMAGE_EXTRAS := (.+)$", makefile, re.MULTILINE)
    assert found
    extras = [project["optional-dependencies"][name] for name in found[1].split()]
    return [
        Requirement(line) for line in (*project["dependencies"], *(x for xs in extras for x in xs))
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_a_lock_has_everything_that_is_asked_for(device):
    locked = pins(LOCKS / f"{device}.txt")

    for requirement in wanted():
        version = locked.get(normal(requirement.name))
        assert version is not None, f"{requirement.name} is not there: {REMAKE}"
        assert requirement.specifier.contains(version), f"{requirement} is {version}: {REMAKE}"


@pytest.mark.parametrize("device", DEVICES)
def test_a_lock_has_the_versions_of_the_constraints(device):
    constraints, locked = pins(ROOT / "constraints.txt"), pins(LOCKS / f"{device}.txt")
    common = constraints.keys() & locked.keys()

    assert len(common) > 50
    assert [
        (name, locked[name], constraints[name])
        for name in sorted(common)
        if locked[name].partition("+")[0] != constraints[name]
    ] == [], REMAKE


@pytest.mark.parametrize("name", [*DEVICES, "build"])
def test_every_wheel_of_a_lock_has_a_hash(name):
    text = (LOCKS / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.partition("\n#    make locks\n")[2])

    assert len(entries) == len(pins(LOCKS / f"{name}.txt")) > 3
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


def test_torch_is_the_build_for_the_device():
    builds = {name: pins(LOCKS / f"{name}.txt") for name in DEVICES}

    assert builds["cpu"]["torch"].endswith("+cpu")
    assert "+" not in builds["cuda"]["torch"]
    assert not [name for name in builds["cpu"] if name.startswith("nvidia")]
    assert [name for name in builds["cuda"] if name.startswith("nvidia")]
