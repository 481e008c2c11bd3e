"""The scripts for the editor that the packs of a ComfyUI server have, as it lists them."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from nodegraph.graph.json_values import is_list

PREFIX = "/extensions/"
MOST_SCRIPTS = 5_000
_LONGEST = 300
_SCRIPT = re.compile(r"/extensions/([^/]+)/(?:[^/]+/)*[^/]+\.js")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\?#%\ud800-\udfff]|/\.{1,2}/")
_LEFT_OUT = ("core", "comfyui-manager")
"""Folders whose scripts are never taken over: the server's own editor's, and those of the pack that
installs packs, by routes that we do not have."""

PackScripts: TypeAlias = Mapping[str, Sequence[str]]
"""The paths of the scripts, `/extensions/PACK/…/name.js`, by the name of the pack's folder."""


def read_scripts(found: object) -> PackScripts:
    """Read an answer of `/extensions`; what is no path of a pack's script is left out.

    A path is kept if it has at most 300 characters and needs no encoding but of spaces, so that the
    editor asks for it as it is listed here.
    """
    scripts: dict[str, list[str]] = {}
    for path in found[:MOST_SCRIPTS] if is_list(found) else ():
        if not isinstance(path, str) or len(path) > _LONGEST or _UNSAFE.search(path):
            continue
        match = _SCRIPT.fullmatch(path)
        if match and match[1].casefold() not in _LEFT_OUT:
            scripts.setdefault(match[1], []).append(path)
    return scripts
