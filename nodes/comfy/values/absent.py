"""Names of ComfyUI's that nothing here stands in for: they can be imported, and say so when used.

A pack that imports such a name loads, and only its nodes that use the name fail. While a pack is
imported, the name may be subclassed, called, used as a decorator and compared; afterwards calling
it, or making an object of a class derived from it, raises `NotOfferedError`.
"""

from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any, NoReturn

from nodes.comfy.absent_names import NAMES
from nodes.comfy.values import runtime
from nodes.comfy.values.errors import NotOfferedError

_HINT = "ComfyUI has it. The pack's other nodes work."


class AbsentType(type):
    """The type of absent names, which are classes, so that packs can derive from them."""

    absent_name: str

    def __getattr__(cls, name: str) -> "AbsentType":
        """Return a part of an absent name as an absent name; classes that derive have none."""
        if name.startswith("__") or "absent_name" not in vars(cls):
            raise AttributeError(name)
        return absent(f"{cls.absent_name}.{name}")

    def __call__(cls, *args: Any, **more: Any) -> Any:
        """Stand in for the result while a pack is imported; refuse later.

        Raises:
            NotOfferedError: no pack is being imported.
        """
        if not runtime.importing():
            _refuse(cls.absent_name)
        if "absent_name" not in vars(cls):
            return super().__call__(*args, **more)
        decorates = len(args) == 1 and not more and callable(args[0])
        return args[0] if decorates else absent(f"{cls.absent_name}()")

    def __bool__(cls) -> bool:
        """Return False for the result of a call, as in `if sage_attention_enabled():`."""
        return not vars(cls).get("absent_name", "").endswith("()")

    def __getitem__(cls, key: object) -> "AbsentType":
        """Return the name itself, as in annotations."""
        del key
        return cls

    def __iter__(cls) -> Iterator[Any]:
        """Yield nothing while a pack is imported; refuse later.

        Raises:
            NotOfferedError: no pack is being imported.
        """
        if not runtime.importing():
            _refuse(cls.absent_name)
        return iter(())


class _Absent:
    """The base of all absent names."""

    def __init__(self, *args: Any, **more: Any) -> None:
        del args, more


@cache
def absent(name: str) -> AbsentType:
    """Return the one object that stands for an absent name, as `comfy.ops.manual_cast`."""
    own = name.rpartition(".")[2]
    return AbsentType(own, (_Absent,), {"absent_name": name, "__module__": name.rpartition(".")[0]})


def absent_module(name: str, below: Callable[[str], ModuleType | None]) -> ModuleType:
    """Make a module in which every name is absent, except for modules below it.

    `from … import *` gets the names in the table.
    """
    module = ModuleType(name)
    vars(module).update(__path__=[])
    add_all_absent(module, name, below)
    if name in NAMES:
        vars(module)["__all__"] = NAMES[name].split()
    return module


def add_all_absent(
    module: ModuleType, name: str, below: Callable[[str], ModuleType | None]
) -> None:
    """Have a module say of every name that it lacks that it is absent."""

    def attribute(own: str) -> object:
        if own.startswith("__"):
            raise AttributeError(own)
        return below(f"{name}.{own}") or absent(f"{name}.{own}")

    vars(module)["__getattr__"] = attribute


def add_absent(module: ModuleType, name: str) -> None:
    """Add the names that ComfyUI's module of this name has and its stand-in lacks."""
    for own in NAMES.get(name, "").split():
        if own not in vars(module):
            setattr(module, own, absent(f"{name}.{own}"))


def _refuse(name: str) -> NoReturn:
    raise NotOfferedError(name, hint=_HINT)
