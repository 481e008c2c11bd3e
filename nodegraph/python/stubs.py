"""The types of node methods as a stub file, so that editors complete and type checkers check."""

import keyword
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nodegraph.graph.dynamic_inputs import is_dynamic
from nodegraph.graph.sockets import ANY
from nodegraph.graph.spec import InputSpec, NodeSpec, OutputSpec

SHIPPED = Path(__file__).with_name("methods.pyi")
"""The stub file of the built-in pack."""
_HEAD = '''"""What node methods take and give; made by `nodegraph stubs`, not to be edited."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nodegraph.python.outputs import Out, Placed
'''
_PLAIN = {"INT": "int", "FLOAT": "float", "STRING": "str", "BOOLEAN": "bool"}
_COMBO = "COMBO"
_LONGEST = 88


def stubs(catalog: Mapping[str, NodeSpec]) -> str:
    """Return the stub file of a catalog's node types, but for those that Python can not name."""
    specs = [spec for name, spec in sorted(catalog.items()) if is_name(name)]
    sockets = sorted({_class(name) for spec in specs for name in _sockets(spec)})
    classes = "".join(f"class {name}: ...\n" for name in sockets)
    methods = "\n".join(_method(spec) for spec in specs)
    return f"{_HEAD}\n{classes}\nclass NodeMethods:\n{methods}"


def _method(spec: NodeSpec) -> str:
    named = [item for item in spec.inputs if is_name(item.name)]
    given = [f"{item.name}: {_type(item)}{_default(item)}" for item in named]
    given += ["id_: str = ...", "title_: str = ..."]
    if len(named) < len(spec.inputs) or is_dynamic(spec):
        given.append("**more: object")
    lines = "".join(f"        {item},\n" for item in ["self", "*", *given])
    text = _first_sentence(spec.description)
    quoted = f'        """{text}"""\n' if text else "        ...\n"
    return f"    def {spec.name}(\n{lines}    ) -> {_gives(spec.outputs)}:\n{quoted}"


def _type(item: InputSpec) -> str:
    if item.row:
        each = _type(item.row.item)
        return f"Sequence[{each}] | Mapping[str, {each}]"
    links = " | ".join(_out(name) for name in item.socket.split(","))
    if item.socket == _COMBO:
        words = ", ".join(repr(choice) for choice in item.choices or ())
        other = "Mapping[str, object]" if item.branches else "Out[Any]"
        return f"{f'Literal[{words}]' if words else 'str'} | {other}"
    if item.socket == ANY:
        return "object"
    plain = [_PLAIN[name] for name in item.socket.split(",") if name in _PLAIN]
    return " | ".join([*plain, *_literal(item), links])


def _literal(item: InputSpec) -> list[str]:
    """Return the type of literals of an input whose socket has a widget of its own."""
    if isinstance(item.default, list):
        return ["Sequence[object]"]
    return ["Mapping[str, object]"] if isinstance(item.default, dict) else []


def _default(item: InputSpec) -> str:
    return " = ..." if item.has_default or not item.required else ""


def _gives(outputs: Iterable[OutputSpec]) -> str:
    kinds = [_out(ANY if output.template else output.socket) for output in outputs]
    if not kinds:
        return "Placed"
    return kinds[0] if len(kinds) == 1 else f"tuple[{', '.join(kinds)}]"


def _out(socket: str) -> str:
    return "Out[Any]" if socket in (ANY, _COMBO) else f"Out[{_class(socket)}]"


def _class(socket: str) -> str:
    name = re.sub(r"\W", "_", socket)
    return name if is_name(name) else f"S_{name}"


def _sockets(spec: NodeSpec) -> set[str]:
    inputs = [item.row.item if item.row else item for item in spec.inputs if is_name(item.name)]
    named = [item.socket for item in inputs]
    named += [output.socket for output in spec.outputs if not output.template]
    return {part for socket in named for part in socket.split(",")} - {ANY, _COMBO}


def _first_sentence(text: str) -> str:
    line = text.strip().partition("\n")[0].replace("\\", "").replace('"""', "'''")
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1].rstrip()}…"


def is_name(text: str) -> bool:
    """Say if a text is a name in Python: an identifier, and no keyword."""
    return text.isidentifier() and not keyword.iskeyword(text)


def main() -> None:
    """Write the stub file of the built-in pack."""
    from nodegraph.packs.installed import BUILT_IN
    from nodegraph.packs.registry import Registry

    SHIPPED.write_text(stubs(Registry.load([BUILT_IN]).catalog), encoding="utf-8")


if __name__ == "__main__":
    main()
