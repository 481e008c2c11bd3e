"""Regular expressions: what they find, and what stops them."""

import pytest

from nodes.builtin.text import regexes
from nodes.builtin.text.errors import RegexError, TooLongTextError
from nodes.builtin.text.regexes import regex_extract, regex_match, regex_replace

TEXT = "a red cat,\nA blue dog"


@pytest.mark.parametrize(
    ("pattern", "flags", "found"),
    [
        (r"CAT", {}, True),
        (r"CAT", {"case_insensitive": False}, False),
        (r"^a blue", {}, False),
        (r"^a blue", {"multiline": True}, True),
        (r"cat.*dog", {}, False),
        (r"cat.*dog", {"dotall": True}, True),
        (r"\bbl\w+\b", {}, True),
        ("", {}, True),
    ],
)
def test_a_pattern_fits_somewhere(pattern, flags, found):
    assert regex_match(TEXT, pattern, **flags) is found


@pytest.mark.parametrize(
    ("pattern", "mode", "index", "found"),
    [
        (r"\w+ (cat|dog)", "First Match", 1, "red cat"),
        (r"\w{4}", "All Matches", 1, "blue"),
        (r"a \w+", "All Matches", 1, "a red\nA blue"),
        (r"(\w+) (cat|dog)", "All Matches", 1, "red\nblue"),
        (r"(\w+) (cat|dog)", "First Group", 1, "red"),
        (r"(\w+) (cat|dog)", "First Group", 2, "cat"),
        (r"(\w+) (cat|dog)", "First Group", 3, ""),
        (r"(\w+) (cat|dog)", "All Groups", 2, "cat\ndog"),
        (r"(\w+) (cat|dog)", "All Groups", 0, "red cat\nblue dog"),
        (r"(cat)|(dog)", "All Groups", 2, "dog"),
        (r"bird", "First Match", 1, ""),
        (r"bird", "All Matches", 1, ""),
        (r"(bird)", "First Group", 1, ""),
    ],
)
def test_what_a_pattern_fits_is_taken_out(pattern, mode, index, found):
    taken = regex_extract(string=TEXT, regex_pattern=pattern, mode=mode, group_index=index)

    assert taken == found


@pytest.mark.parametrize(
    ("pattern", "replace", "count", "found"),
    [
        (r"\ba\b", "one", 0, "one red cat,\none blue dog"),
        (r"\ba\b", "one", 1, "one red cat,\nA blue dog"),
        (r"(\w+) (cat|dog)", r"\2 in \1", 0, "a cat in red,\nA dog in blue"),
        (r"(?P<what>cat)", r"[\g<what>]", 0, "a red [cat],\nA blue dog"),
        (r"bird", "x", 0, TEXT),
        (r"\n", r"\n\n", 0, "a red cat,\n\nA blue dog"),
    ],
)
def test_a_text_is_put_wherever_a_pattern_fits(pattern, replace, count, found):
    made = regex_replace(string=TEXT, regex_pattern=pattern, replace=replace, count=count)

    assert made == found


def test_texts_of_any_characters_come_back_as_they_are():
    text = "höhö 🐈 \ud800 \x00 \\"

    assert regex_extract(string=text, regex_pattern=".+", mode="First Match") == text


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "unterminated subpattern"),
        ("*", "nothing to repeat"),
        ("a{1,99999999999999999999}", "too large"),
        (r"\8", "invalid group reference"),
        ("(" * 5000 + ")" * 5000, "recursion"),
        ("x" * 10_001, "longer than 10,000"),
    ],
)
def test_a_pattern_without_meaning_is_explained(pattern, reason):
    with pytest.raises(RegexError, match=reason) as refused:
        regex_match("text", pattern)

    assert "backslash" in refused.value.hint
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("template", [r"\3", r"\g<name>", "\\"])
def test_a_replacement_without_meaning_is_explained(template):
    with pytest.raises(RegexError, match="is not valid"):
        regex_replace(string="a", regex_pattern="(a)", replace=template)


def test_a_pattern_that_backtracks_is_stopped(monkeypatch):
    monkeypatch.setattr(regexes, "SECONDS", 0.5)

    with pytest.raises(RegexError, match=r"more than 0\.5 seconds") as refused:
        regex_match("a" * 60 + "b", "(a+)+$")

    assert "Nested repetitions" in refused.value.hint


def test_a_text_does_not_grow_without_end():
    with pytest.raises(TooLongTextError, match="characters long"):
        regex_replace(string="x" * 20_000, regex_pattern="x", replace="y" * 1000)


def test_what_takes_too_much_memory_ends_as_an_error():
    with pytest.raises(RegexError, match="too much memory"):
        regex_replace(string="x" * 1_000_000, regex_pattern="x", replace="y" * 100_000)
