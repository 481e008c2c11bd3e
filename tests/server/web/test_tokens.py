"""Tokens: what a file of them may hold, and whose a request is."""

import logging
import os

import pytest

from nodegraph.errors import SettingsError
from nodegraph.settings.server import ServerSettings
from server.lifecycle.settings_check import tokens_of
from server.web.tokens import NOBODY, SHORTEST, Tokens, cookie, read_tokens

ANN, BOB = "ann-knows-this-long-secret", "bob-knows-this-other-secret"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tokens"
    path.touch(0o600)
    return path


def test_one_token_alone_has_no_name(file):
    file.write_text(f"{ANN}\n")

    assert read_tokens(file).by_owner == {NOBODY: ANN}


@pytest.mark.parametrize(
    "text",
    [
        f"ann: {ANN}\nbob:{BOB}\n",
        f"# who may\n\n ann : {ANN}\n\nbob: {BOB}",
        f'{{"ann": "{ANN}", "bob": "{BOB}"}}',
    ],
)
def test_several_tokens_have_names(file, text):
    file.write_text(text)

    assert read_tokens(file).by_owner == {"ann": ANN, "bob": BOB}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        f"{ANN}\n{BOB}",
        f"ann: {ANN}\n{BOB}",
        f"ann: {ANN}\nann: {BOB}",
        f"ann: {ANN}\nAnn: {BOB}",
        f"ann: {ANN}\nbob: {ANN}",
        f"../ann: {ANN}\nbob: {BOB}",
        f"ann: {'x' * (SHORTEST - 1)}",
        "short",
        f"{ANN}\N{SNOWMAN}",
        '{"ann": 5}',
        '{"ann": ',
        '{"ann": ' + "[" * 200_000,
        f'{{"a/b": "{ANN}"}}',
        f'{{"ann": "{ANN} and more"}}',
    ],
)
def test_what_is_no_file_of_tokens_is_refused_and_not_repeated(file, text):
    file.write_text(text)

    with pytest.raises(SettingsError) as caught:
        read_tokens(file)
    assert ANN not in str(caught.value)
    assert BOB not in str(caught.value)


def test_a_mark_of_the_encoding_belongs_to_no_token(file):
    file.write_text(f"ann: {ANN}", encoding="utf-8-sig")

    assert read_tokens(file).by_owner == {"ann": ANN}


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_tokens(tmp_path / "none")


def test_a_token_and_a_file_of_them_exclude_each_other(file):
    file.write_text(BOB)

    with pytest.raises(SettingsError, match="both"):
        tokens_of(ServerSettings(token=ANN, token_file=file))


def test_who_comes_is_told_by_the_whole_token_or_its_cookie():
    tokens = Tokens({"ann": ANN, "bob": BOB})

    assert [tokens.owner(given) for given in (ANN, BOB)] == ["ann", "bob"]
    assert [tokens.cookie_owner(cookie(given)) for given in (ANN, BOB)] == ["ann", "bob"]
    for given in ("", ANN[:-1], f"{ANN} ", ANN.upper(), cookie(ANN), "\udc80", "\N{SNOWMAN}"):
        assert tokens.owner(given) is None
    assert tokens.cookie_owner(ANN) is None
    assert ANN not in repr(tokens)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_may_read_is_warned_of(file, caplog, mode, warned):
    file.write_text(ANN)
    os.chmod(file, mode)  # noqa: PTH101

    with caplog.at_level(logging.WARNING):
        tokens_of(ServerSettings(token_file=file))

    assert ("other users" in caplog.text) is warned
    assert ANN not in caplog.text
