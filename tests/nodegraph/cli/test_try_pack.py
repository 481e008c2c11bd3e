"""`packs try`: each node type of a pack runs once, in a process that may end."""

import json

import pytest

PACK = """
import os
import time


def kind(returns, run, needs=None, shown=False, hidden={}):
    def call(self, **given):
        return run(**given)

    def inputs(cls):
        optional = {"count": ("INT", {"default": 7})}
        return {"required": needs or {}, "optional": optional, "hidden": hidden}

    return type("Kind", (), {
        "INPUT_TYPES": classmethod(inputs),
        "RETURN_TYPES": returns,
        "FUNCTION": "call",
        "CATEGORY": "toys",
        "OUTPUT_NODE": shown,
        "call": call,
    })


def fail(**given):
    raise ValueError("no such thing")


def later(**given):
    time.sleep(600)


def show(image, count):
    return {"ui": {"text": [f"{list(image.shape)} {count}"]}}


def tell(toy, count, workflow):
    nodes = {str(each["id"]): each for each in workflow["workflow"]["nodes"]}
    ((_, source, *_, socket),) = [each for each in workflow["workflow"]["links"] if each[3] == 1]
    values = nodes["1"]["widgets_values"], nodes[str(source)]["outputs"][0]["links"]
    return (f"{nodes[str(source)]['type']} {socket} {values}",)


GREY = kind(("IMAGE",), lambda image, count: (image[..., 0],), {"image": ("IMAGE",)})
SIZE = {"size": ("INT", {"min": 2})}
TOY = {"toy": ("TOY",)}
NODE_CLASS_MAPPINGS = {
    "ToyShows": kind((), show, {"image": ("IMAGE",)}, shown=True),
    "ToyFails": kind(("INT",), fail),
    "ToyBadMaker": kind(("TOY",), fail),
    "ToyMaker": kind(("TOY",), lambda size, count: (["toy"] * size,), SIZE),
    "ToyTakes": kind(("STRING",), lambda toy, count: (str(toy),), TOY),
    "ToyReads": kind(("STRING",), tell, TOY, hidden={"workflow": "EXTRA_PNGINFO"}),
    "ToyNobodys": kind(("STRING",), lambda toy, count: (toy,), {"toy": ("NOBODYS",)}),
    "ToyGrey": GREY,
    "ToyNothing": kind((), lambda count: ()),
}
MODEL = {"ToyModel": kind(("MODEL",), lambda model, count: (model,), {"model": ("MODEL",)})}
ENDS = {"ToyEnds": kind(("INT",), lambda count: os._exit(7)), "ToyWaits": kind(("INT",), later)}
"""


@pytest.fixture
def try_pack(invoke, here, monkeypatch):
    """A function that tries a pack of this text, and returns what is told of each node type."""
    monkeypatch.delenv("NODEGRAPH_PACKS")
    monkeypatch.setenv("NODEGRAPH_CUSTOM_NODES_DIR", str(here / "custom_nodes"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def call(text, *more):
        root = here / "custom_nodes" / "toy-pack"
        root.mkdir(parents=True, exist_ok=True)
        (root / "__init__.py").write_text(text)
        done = invoke("packs", "try", "toy-pack", "--json", *more)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return done, {each["type_name"]: each for each in told}

    return call


def test_each_node_type_runs_once_and_what_fails_is_told(try_pack, here):
    done, told = try_pack(PACK)

    outcomes = {name: each["outcome"] for name, each in told.items()}
    assert outcomes == {
        "ToyShows": "runs",
        "ToyFails": "fails",
        "ToyBadMaker": "fails",
        "ToyMaker": "runs",
        "ToyTakes": "runs",
        "ToyReads": "runs",
        "ToyNobodys": "not tried",
        "ToyGrey": "runs",
        "ToyNothing": "runs",
    }
    assert told["ToyShows"]["shows"]["1"] == {"text": ["[1, 48, 48, 3] 7"]}
    assert "ValueError: no such thing" in told["ToyFails"]["reason"]
    (text,) = told["ToyTakes"]["shows"].values()
    assert text == {"text": ["['toy', 'toy']"]}
    (text,) = told["ToyReads"]["shows"].values()
    assert text == {"text": ["ToyMaker TOY ([7], [1])"]}
    assert told["ToyNobodys"]["reason"] == "nothing here makes a NOBODYS"
    assert done.exit_code == 1
    assert "toy-pack: 2 fails, 1 not tried, 6 runs" in done.stderr
    assert list((here / "output").iterdir()) == []


@pytest.mark.slow
def test_a_model_that_a_node_type_returns_is_used(try_pack):
    _, told = try_pack(f"{PACK}\nNODE_CLASS_MAPPINGS = MODEL\n", "--patience", "300")

    assert told["ToyModel"]["reason"] == ""
    assert any("Latent" in str(shown) for shown in told["ToyModel"]["shows"].values())


@pytest.mark.slow
def test_a_node_type_may_end_or_block_the_process(try_pack):
    text = f"{PACK}\nNODE_CLASS_MAPPINGS = ENDS | NODE_CLASS_MAPPINGS\n"

    done, told = try_pack(text, "--patience", "3", "--type", "ToyEnds", "--type", "ToyWaits")
    _, rest = try_pack(text, "--patience", "3", "--type", "ToyEnds", "--type", "ToyTakes")

    assert told["ToyEnds"]["reason"] == "it ended the process, with code 7"
    assert told["ToyWaits"]["reason"] == "it takes more than 3 s"
    assert rest["ToyTakes"]["outcome"] == "runs"
    assert done.exit_code == 1


def test_a_pack_or_node_type_that_is_not_there_is_told(invoke, try_pack):
    no_pack = invoke("packs", "try", "toy-pakc")
    done, _ = try_pack(PACK, "--type", "ToyFals")
    broken, _ = try_pack("import a_package_that_nobody_has\n")

    assert "No pack 'toy-pakc' is installed" in no_pack.stderr
    assert "ToyFails" in done.stderr
    assert "a_package_that_nobody_has" in broken.stderr
    assert (no_pack.exit_code, done.exit_code, broken.exit_code) == (2, 2, 2)
