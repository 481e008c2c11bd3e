"""Whole workflows through the engine against the reference's latents and pictures.

`pytest -m "" -rP tests/parity/test_end_to_end.py` runs them all and shows how far each is off.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pictures
from safetensors.torch import load_file

from nodegraph.execution.engine import Engine, RunResult
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt, read_workflow
from tests.nodes.reference import distance, numbers, tensors
from tests.tiny_models.checkpoints import tiny_models, tiny_root

INPUT = Path(__file__).parent / "e2e" / "input"
FAMILIES = ("sd15", "sd21", "sdxl", "sd3", "flux")
WORKFLOWS: dict[tuple[str, str], dict[str, Any]] = {
    (family, name): workflow
    for family in FAMILIES
    for name, workflow in numbers(f"e2e/{family}").items()
}
FilesOfNodes: TypeAlias = Mapping[str, Sequence[Path]]
"""The files that nodes wrote, by their ids."""
TYPICAL, MOST = 1e-4, 1e-3
FAR = {("sd15", "v_pred_zsnr_node")}  # starts at a sigma of 4519
"""Cases that may be off by `MOST` instead of `TYPICAL`; never more than one in ten."""
KEPT = 2 << 30
"""The bytes of weights that wait for the next case; those of all families are 5 GiB."""
WRONG_VALUES = 0.005
"""The share of a picture's values that may be off by one."""

assert len(FAR) <= len(WORKFLOWS) // 10


def has_picture(family: str, name: str) -> bool:
    """Whether it is one of the third that runs by default."""
    return f"{name}/image" in tensors(f"e2e/{family}")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return new_engine(tmp_path_factory.mktemp("results"))


def new_engine(root: Path) -> Engine:
    """An engine over the tiny models that writes below a folder."""
    folders = Folders((tiny_root() / "models",), INPUT, root / "output", root / "temp")
    return Engine(Registry.load(["nodes"]), Files(folders), weights_cache=KEPT)


def written(engine: Engine, result: RunResult, kind: str) -> dict[str, list[Path]]:
    """The files of one kind that a run wrote, by the node that did."""
    root = engine.files.folders.output
    return {
        node: [root / item.subfolder / item.filename for item in ui.artifacts[kind]]
        for node, ui in result.ui.items()
        if kind in ui.artifacts
    }


@pytest.mark.parametrize(
    ("family", "name"),
    [
        pytest.param(*case, marks=() if has_picture(*case) else pytest.mark.slow)
        for case in WORKFLOWS
    ],
)
def test_a_workflow_makes_what_the_reference_makes(engine, family, name):
    check_workflow(engine, family, name)


def check_workflow(engine: Engine, family: str, name: str) -> None:
    """Run it, and compare what it saves."""
    workflow = WORKFLOWS[family, name]
    tiny_models(json.dumps(workflow))

    result = engine.run(read_prompt(workflow))

    check_files(family, name, written(engine, result, "latents"), written(engine, result, "images"))


def check_files(family: str, name: str, latents: FilesOfNodes, images: FilesOfNodes) -> None:
    """Compare every latent that was saved; and the pictures, where the reference's are here."""
    expected = tensors(f"e2e/{family}")
    assert {f"{name}/{node}" for node in latents} == keys_of(expected, name)
    for node, (path,) in latents.items():
        off = distance(load_file(path)["latent_tensor"], expected[f"{name}/{node}"])
        print(f"{family} {name}, node {node}: off by {off:.1e}")
        assert off <= (MOST if (family, name) in FAR else TYPICAL)
    if has_picture(family, name):
        (pictures,) = images.values()
        compare(pictures, expected[f"{name}/image"].numpy())


def keys_of(expected: Mapping[str, object], name: str) -> set[str]:
    """Those of a workflow's latents."""
    return {key for key in expected if key.startswith(f"{name}/")} - {f"{name}/image"}


def compare(paths: Sequence[Path], expected: NDArray[np.uint8]) -> None:
    pictures = np.stack([np.asarray(Pictures.open(path)) for path in paths])
    differences = np.abs(pictures.astype(int) - expected.astype(int))
    print(f"  picture: {(differences > 0).mean():.3%} of the values off by {differences.max()}")
    assert differences.max() <= 1
    assert (differences > 0).mean() <= WRONG_VALUES


def test_a_saved_picture_is_a_workflow_that_makes_it_again(engine, tmp_path):
    workflow = WORKFLOWS["sd15", "txt2img_euler_normal"]
    tiny_models(json.dumps(workflow))
    first = engine.run(read_prompt(workflow))
    ((path,),) = written(engine, first, "images").values()

    files = Files(Folders((tiny_root() / "models",), tmp_path, tmp_path, tmp_path))
    again = Engine(engine.registry, files)
    result = again.run(read_workflow(path))

    ((copy,),) = written(again, result, "images").values()
    assert result.cached == 0
    assert np.array_equal(np.asarray(Pictures.open(copy)), np.asarray(Pictures.open(path)))
