"""The packs that offer well-known node types, from a table that ships with nodegraph.

The table has facts of ComfyUI-Manager's public lists: the packs that are used most, where they are
and their node types. `python -m nodegraph.validation.known_packs FOLDER` makes it anew from a
folder with `extension-node-map.json` and `github-stats.json` of
https://github.com/Comfy-Org/ComfyUI-Manager.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

_TABLE = Path(__file__).with_suffix(".json")
_SOURCE = "https://github.com/Comfy-Org/ComfyUI-Manager"
_COMFYUI = "https://github.com/comfyanonymous/ComfyUI"
_FEWEST_STARS = 200
_WANTED = (
    "Goktug/comfyui-saveimage-plus",
    "omar92/ComfyUI-QualityOfLifeSuit_Omar92",
    "SeargeDP/SeargeSDXL",
    "FizzleDorf/ComfyUI_FizzNodes",
    "ltdrdata/ComfyUI-Impact-Subpack",
)
"""Packs with fewer stars that many published workflows need."""
_MORE_TYPES: Final[Mapping[str, Sequence[str]]] = {
    _COMFYUI: (
        "CombineHooks2",
        "CombineHooks4",
        "CombineHooks8",
        "ConditioningSetDefaultCombine",
        "ConditioningSetProperties",
        "ConditioningSetPropertiesAndCombine",
        "ConditioningTimestepsRange",
        "CreateHookKeyframe",
        "CreateHookKeyframesFromFloats",
        "CreateHookKeyframesInterpolated",
        "CreateHookLora",
        "CreateHookLoraModelOnly",
        "CreateHookModelAsLora",
        "CreateHookModelAsLoraModelOnly",
        "Load3DAnimation",
        "LoadImageSetFromFolderNode",
        "LoadImageTextSetFromFolderNode",
        "PairConditioningCombine",
        "PairConditioningSetDefaultCombine",
        "PairConditioningSetProperties",
        "PairConditioningSetPropertiesAndCombine",
        "Preview3DAnimation",
        "SaveLoRANode",
        "SetClipHooks",
        "SetHookKeyframes",
        "WanContextWindowsManual",
    ),
    "https://github.com/cubiq/ComfyUI_IPAdapter_plus": (
        "IPAdapterApply",
        "IPAdapterApply (ComfyUI_IPAdapter_plus)",
    ),
    "https://github.com/AlekPet/ComfyUI_Custom_Nodes_AlekPet": (
        "DeepTranslatorCLIPTextEncodeNode",
        "DeepTranslatorTextNode",
    ),
}
"""Types that the list lacks, because a pack has renamed them or makes their names up at import."""


@dataclass(frozen=True, slots=True)
class KnownPack:
    """A pack of the table."""

    address: str
    """The address to clone it from."""
    pattern: str
    """A regular expression that the names of its types match, besides those listed; or nothing."""
    types: Sequence[str]

    @property
    def name(self) -> str:
        """The name of its repository, which its folder has, too."""
        return self.address.rpartition("/")[2].removesuffix(".git")

    @property
    def is_comfyui(self) -> bool:
        """True for ComfyUI itself, whose own types these are."""
        return self.address == _COMFYUI


class KnownPacks:
    """The packs of the table, indexed.

    Args:
        packs: the packs; if several have a type, the first one counts.
    """

    def __init__(self, packs: Sequence[KnownPack]) -> None:
        self._by_type: dict[str, KnownPack] = {}
        self._by_name = {plain_name(pack.name): pack for pack in reversed(packs)}
        self._patterns = [(re.compile(pack.pattern), pack) for pack in packs if pack.pattern]
        for pack in packs:
            for name in pack.types:
                self._by_type.setdefault(name, pack)

    def with_type(self, type_name: str) -> KnownPack | None:
        """Return the pack that offers a node type, or None."""
        found = self._by_type.get(type_name)
        if found is None:
            found = next((pack for rule, pack in self._patterns if rule.search(type_name)), None)
        return found

    def with_name(self, name: str) -> KnownPack | None:
        """Return the pack of that name, of its folder or in the registry; or None."""
        return self._by_name.get(plain_name(name))


def plain_name(name: str) -> str:
    """Return a pack's name as it is compared: registry, folder and repository spell it apart."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def known_packs() -> KnownPacks:
    """Return the packs of the table that ships."""
    table: dict[str, Any] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return KnownPacks([KnownPack(*row) for row in table["packs"]])


def make_table(folder: Path) -> str:
    """Return the table as JSON, a pack a line, from the lists in a folder."""
    types, stats = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("extension-node-map", "github-stats")
    )
    types = {address: ([], {}) for address in _MORE_TYPES} | types
    owners = {
        name: address
        for address, (_, about) in types.items()
        for name in about.get("preemptions", ())
    }
    rows: list[list[object]] = []
    for address, names, about in _by_use(types, stats):
        own = {*names, *about.get("preemptions", ()), *_MORE_TYPES.get(address, ())}
        kept = sorted(name for name in own if owners.get(name, address) == address)
        rows.append([address, about.get("nodename_pattern", ""), kept])
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    date = datetime.now(UTC).date()
    return f'{{"source":"{_SOURCE}","date":"{date}","packs":[\n{lines}\n]}}\n'


def _by_use(
    types: Mapping[str, Any], stats: Mapping[str, Any]
) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Yield address, types and description of the packs to list, the most starred first."""

    def stars(address: str) -> int:
        return stats.get(address, {}).get("stars", 0)

    for address in sorted(types, key=lambda address: (-stars(address), address)):
        names, about = types[address]
        wanted = bool(names) and (stars(address) >= _FEWEST_STARS or address.endswith(_WANTED))
        if address in _MORE_TYPES or (wanted and address.startswith("https://github.com/")):
            yield address, names, about


def main() -> None:
    """Write the table from the lists in the folder that the command line names."""
    _TABLE.write_text(make_table(Path(sys.argv[1])), encoding="utf-8")


if __name__ == "__main__":
    main()
