"""Nodes that cut, join and compare texts."""

import pytest

from nodes.builtin.text.errors import TooLongTextError
from nodes.builtin.text.strings import (
    LONGEST,
    case_converter,
    string_compare,
    string_concatenate,
    string_contains,
    string_length,
    string_replace,
    string_substring,
    string_trim,
)


def test_texts_are_joined_with_what_stands_between_them():
    assert string_concatenate("a", "b", ", ") == "a, b"
    assert string_concatenate("", "") == ""


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [(0, 3, "cat"), (1, -1, "at!?"), (-2, 99, "?!"), (4, 2, ""), (99, 100, "")],
)
def test_a_part_of_a_text_is_cut_as_python_does(start, end, found):
    text = "cat!?!" if (start, end) != (-2, 99) else "cat?!"

    assert string_substring(text, start, end) == found


def test_length_counts_characters_not_bytes():
    assert string_length("höhö 🐈") == 6


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("UPPERCASE", "A TABBY CAT"),
        ("lowercase", "a tabby cat"),
        ("Capitalize", "A tabby cat"),
        ("Title Case", "A Tabby Cat"),
    ],
)
def test_letters_change_case(mode, found):
    assert case_converter("a tabby CAT", mode) == found


@pytest.mark.parametrize(
    ("mode", "found"), [("Both", "cat"), ("Left", "cat \n"), ("Right", "\t cat")]
)
def test_blanks_go_from_either_end(mode, found):
    assert string_trim("\t cat \n", mode) == found


def test_a_text_is_put_wherever_another_stands():
    assert string_replace("a cat, a dog", "a ", "the ") == "the cat, the dog"
    assert string_replace("cat", "dog", "x") == "cat"
    assert string_replace("ab", "", "-") == "-a-b-"


@pytest.mark.parametrize(
    ("substring", "strict", "found"),
    [("tab", True, True), ("TAB", True, False), ("TAB", False, True), ("", True, True)],
)
def test_a_text_contains_another(substring, strict, found):
    assert string_contains("a tabby cat", substring, strict) is found


@pytest.mark.parametrize(
    ("mode", "other", "strict", "found"),
    [
        ("Starts With", "A Tab", True, True),
        ("Starts With", "a tab", True, False),
        ("Starts With", "a tab", False, True),
        ("Ends With", "cat", True, True),
        ("Ends With", "Cat", True, False),
        ("Equal", "a tabby cat", True, False),
        ("Equal", "a tabby cat", False, True),
    ],
)
def test_texts_are_compared(mode, other, strict, found):
    assert string_compare("A Tabby cat", other, mode, strict) is found


def test_a_text_does_not_grow_without_end():
    half = "x" * (LONGEST // 2)

    assert len(string_concatenate(half, half)) == LONGEST
    with pytest.raises(TooLongTextError, match=r"10,000,001 characters"):
        string_concatenate(half, half, "-")
    with pytest.raises(TooLongTextError, match=r"15,000,000 characters"):
        string_replace(half, "x", "abc")
