"""Nodes that search and replace with regular expressions, within a time limit."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field

from nodegraph.definition.markers import Name, Optional
from nodegraph.definition.node import node
from nodes.builtin.inputs import Text
from nodes.builtin.text.errors import RegexError, TooLongTextError
from nodes.builtin.text.strings import LONGEST

Wanted = Literal["First Match", "All Matches", "First Group", "All Groups"]

SECONDS = 5.0
"""The most seconds that one search may take."""
_WORKER = Path(__file__).with_name("regex_worker.py")
_LONGEST_PATTERN = 10_000


@node("RegexMatch", category="utils/string", display_name="Regex Match")
def regex_match(
    string: Text,
    regex_pattern: Text,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
) -> Annotated[bool, Name("matches")]:
    """Test if a pattern (Python's `re`) matches anywhere in a text.

    With `multiline`, ^ and $ match at every line; with `dotall`, a dot also matches a line end.
    """
    flags = _flags(ignorecase=case_insensitive, multiline=multiline, dotall=dotall)
    return bool(_run_worker("search", string, regex_pattern, flags))


@node("RegexExtract", category="utils/string", display_name="Regex Extract")
def regex_extract(
    *,
    string: Text,
    regex_pattern: Text,
    mode: Wanted,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    group_index: Annotated[int, Field(ge=0, le=100)] = 1,
) -> str:
    """Extract what a pattern (Python's `re`) matches in a text; empty if it matches nowhere.

    `First Match` gives the whole first match; `All Matches` gives each match on its own line, or
    the first group of each if the pattern has groups. `First Group` and `All Groups` give group
    `group_index`, in parentheses in the pattern, where 0 is the whole match; matches in which
    the group took no part are left out.
    """
    flags = _flags(ignorecase=case_insensitive, multiline=multiline, dotall=dotall)
    group = {"First Match": 0, "All Matches": None}.get(mode, group_index)
    first = mode.startswith("First")
    return str(_run_worker("extract", string, regex_pattern, flags, group=group, first=first))


@node("RegexReplace", category="utils/string", display_name="Regex Replace")
def regex_replace(
    *,
    string: Text,
    regex_pattern: Text,
    replace: Text,
    case_insensitive: Annotated[bool, Optional()] = True,
    multiline: Annotated[bool, Optional()] = False,
    dotall: Annotated[bool, Optional()] = False,
    count: Annotated[int, Field(ge=0, le=100), Optional()] = 0,
) -> str:
    r"""Replace the first `count` matches of a pattern (Python's `re`); 0 replaces all.

    In `replace`, \1 stands for the first group of the pattern, \g<name> for a named one.
    """
    flags = _flags(ignorecase=case_insensitive, multiline=multiline, dotall=dotall)
    asked = _run_worker("replace", string, regex_pattern, flags, template=replace, count=count)
    return str(asked)


def _flags(*, ignorecase: bool, multiline: bool, dotall: bool) -> int:
    chosen = ((ignorecase, re.IGNORECASE), (multiline, re.MULTILINE), (dotall, re.DOTALL))
    return sum(flag.value for wanted, flag in chosen if wanted)


def _run_worker(task: str, text: str, pattern: str, flags: int, **more: object) -> object:
    """Run a search in its own process, which is stopped when it takes too long.

    Raises:
        RegexError: the pattern or the replacement is not valid, or takes longer than `SECONDS`.
        TooLongTextError: the result is longer than `LONGEST`.
    """
    if len(pattern) > _LONGEST_PATTERN:
        raise _invalid(pattern, f"it is longer than {_LONGEST_PATTERN:,} characters")
    request = {"task": task, "text": text, "pattern": pattern, "flags": flags, "longest": LONGEST}
    command = [sys.executable, "-I", "-S", str(_WORKER)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request | more),
            capture_output=True,
            timeout=SECONDS,
            check=False,
            encoding="ascii",
        )
    except subprocess.TimeoutExpired as error:
        problem = f"takes more than {SECONDS:g} seconds"
        raise RegexError(pattern, problem, code="slow_pattern") from error
    if done.returncode:
        raise _invalid(pattern, "searching with it broke down")
    answer = cast("dict[str, object]", json.loads(done.stdout))
    if "error" in answer:
        raise _invalid(pattern, str(answer["error"]))
    if "too_long" in answer:
        raise TooLongTextError(cast("int", answer["too_long"]), LONGEST)
    return answer["found"]


def _invalid(pattern: str, reason: str) -> RegexError:
    return RegexError(pattern, f"is not valid: {reason}", code="bad_pattern")
