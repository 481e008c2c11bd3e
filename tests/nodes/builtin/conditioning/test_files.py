"""Conditionings that are read from files."""

import json

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import NodeGraphError
from nodes.builtin.conditioning.files import conditioning_loader
from nodes.values import REFERENCES

TOKENS = {"conditioning": torch.ones(1, 1, 1)}


@pytest.fixture
def load(run_node, nodegraph_files):
    def call(tensors=TOKENS, metadata=None, data=None):
        folder = nodegraph_files.folders.models[0] / "embeddings"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "a.safetensors"
        if data is not None:
            path.write_bytes(data)
        else:
            save_file(tensors, path, metadata)
        return run_node(conditioning_loader, conditioning_name="a.safetensors").value.conds

    return call


def test_tokens_and_what_stands_beside_them_are_read(load):
    tokens, pooled = torch.rand(1, 7, 8).bfloat16(), torch.rand(1, 8)
    parts = {f"{REFERENCES}.{k}": torch.full((1, 4, 2, 2), float(k)) for k in (10, 2)}
    options = {"guidance": 3.5}

    (cond,) = load(
        {"conditioning": tokens, "pooled_output": pooled, "mask.x": torch.ones(1, 7), **parts},
        {"conditioning_options": json.dumps(options)},
    )

    assert torch.equal(cond.tokens, tokens.float())
    assert torch.equal(cond.pooled, pooled)
    assert cond.extras["guidance"] == 3.5
    assert torch.equal(cond.extras["mask.x"], torch.ones(1, 7))
    assert [float(each.mean()) for each in cond.extras[REFERENCES]] == [2.0, 10.0]


def test_tokens_alone_are_a_conditioning(load):
    (cond,) = load({"conditioning": torch.rand(1, 7, 8)})

    assert (cond.pooled, cond.extras) == (None, {})


@pytest.mark.parametrize(
    "given",
    [
        {"tensors": {"other": torch.ones(1)}},
        {"data": b"not safetensors"},
        {"data": b""},
        {"tensors": TOKENS, "metadata": {"conditioning_options": "{"}},
        {"tensors": TOKENS, "metadata": {"conditioning_options": "[" * 99999}},
        {"tensors": {"conditioning": torch.ones(3)}},
    ],
    ids=range(6),
)
def test_other_files_are_refused(load, given):
    with pytest.raises(NodeGraphError, match=r"conditioning|safetensors"):
        load(**given)
