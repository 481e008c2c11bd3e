"""The table of packs: whose type is it, and how the table is made."""

import json

import pytest

from nodegraph.validation.known_packs import KnownPack, KnownPacks, known_packs, make_table


@pytest.mark.parametrize(
    ("type_name", "repository"),
    [
        ("FaceDetailer", "ltdrdata/ComfyUI-Impact-Pack"),
        ("VHS_VideoCombine", "Kosinkadink/ComfyUI-VideoHelperSuite"),
        ("ShowText|pysssss", "pythongosssss/ComfyUI-Custom-Scripts"),
        ("IPAdapterModelLoader", "cubiq/ComfyUI_IPAdapter_plus"),
        ("IPAdapterApply (ComfyUI_IPAdapter_plus)", "cubiq/ComfyUI_IPAdapter_plus"),
        ("Text Multiline", "ltdrdata/was-node-suite-comfyui"),
        ("Fast Groups Muter (rgthree)", "rgthree/rgthree-comfy"),
        ("Seed (rgthree)", "rgthree/rgthree-comfy"),
        ("ManualSigmas", "comfyanonymous/ComfyUI"),
        ("SaveLoRANode", "comfyanonymous/ComfyUI"),
    ],
)
def test_well_known_types_are_told_their_pack(type_name, repository):
    pack = known_packs().with_type(type_name)

    assert pack
    assert pack.address == f"https://github.com/{repository}"
    assert pack.is_comfyui == (repository == "comfyanonymous/ComfyUI")


def test_an_unknown_type_has_no_pack():
    assert known_packs().with_type("Nobody has this") is None


def test_the_first_pack_counts_and_names_are_compared_plainly():
    first = KnownPack("https://github.com/a/My_Pack", "", ["One"])
    packs = KnownPacks([first, KnownPack("https://github.com/b/other", r" \(b\)$", ["One"])])

    assert packs.with_type("One") is first
    assert packs.with_type("Two (b)") == packs.with_name("Other")
    assert packs.with_name("my-pack") is first
    assert packs.with_name("none") is None


def test_the_table_has_the_packs_that_many_use_and_the_types_that_are_theirs(tmp_path):
    a, b, c = (f"https://github.com/{name}/x" for name in "abc")
    lists = {
        "extension-node-map": {
            a: [["One", "Two"], {}],
            b: [["Two"], {"preemptions": ["One"], "nodename_pattern": "^B"}],
            c: [["Three"], {}],
        },
        "github-stats": {a: {"stars": 300}, b: {"stars": 200}, c: {"stars": 199}},
    }
    for name, value in lists.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))

    table = json.loads(make_table(tmp_path))

    assert table["source"] == "https://github.com/Comfy-Org/ComfyUI-Manager"
    assert table["packs"][:2] == [[a, "", ["Two"]], [b, "^B", ["One", "Two"]]]
    assert all(row[0] != c for row in table["packs"])
