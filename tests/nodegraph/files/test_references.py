"""References: what they may look like, and what is refused."""

import pytest

from nodegraph.errors import BadReferenceError
from nodegraph.files.references import needs_reading, read_name, read_reference


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("hf://us/ink", "hf://us/ink@main"),
        ("hf://us/ink@v1.0", "hf://us/ink@v1.0"),
        ("hf://us/ink/a.safetensors", "hf://us/ink@main/a.safetensors"),
        ("hf://us/i.n_k-2@main/vae/a.sft", "hf://us/i.n_k-2@main/vae/a.sft"),
        ("hf://us/ink@refs/pr/12/a.safetensors", "hf://us/ink@refs/pr/12/a.safetensors"),
        ("hf://us/ink@feature%2Fx/vae", "hf://us/ink@feature/x/vae"),
    ],
)
def test_a_reference_is_read(text, whole):
    assert str(read_reference(text)) == whole


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://us",
        "hf:///ink",
        "hf://us/",
        "hf://../ink",
        "hf://us/..",
        "hf://us/in..k",
        "hf://us/ink@",
        "hf://us/ink@../..",
        "hf://us/ink@a/../b",
        "hf://us/ink/../a",
        "hf://us/ink//a",
        "hf://us/ink/./a",
        "hf://us/ink/a\\b",
        "hf://us/ink/a\nb",
        "hf://us/ink/a\0b",
        "hf://us/ink@..%2f..%2fx/a",
        "hf://us:token@evil/ink",
        "hf://us/ink?x=1",
        "HF://us/ink",
        "hf://us/ïnk",
        "hf://us/" + "a" * 97,
        "hf://us/ink/" + "a" * 256,
    ],
)
def test_what_leads_elsewhere_or_nowhere_is_refused(text):
    with pytest.raises(BadReferenceError, match="hf://owner/name@revision"):
        read_reference(text)


@pytest.mark.parametrize("digits", ["", "abc", "g" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"])
def test_a_hash_has_64_hex_digits(digits):
    with pytest.raises(BadReferenceError, match="64 hex digits"):
        read_name(f"a.safetensors#sha256={digits}")


def test_a_name_and_its_hash_are_told_apart():
    name = read_name("sub/a.safetensors#sha256=" + "AB" * 32)

    assert (name.plain, name.hub, name.sha256) == ("sub/a.safetensors", None, "ab" * 32)
    assert str(read_name("hf://us/ink#sha256=" + "ab" * 32).hub) == "hf://us/ink@main"
    assert not needs_reading("odd #name@x.safetensors")
