"""Every error has a code of its own: a code that two classes share names two causes."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("nodegraph", "nodes", "server")


def test_no_code_belongs_to_two_classes():
    owners = owners_of_codes({path: path.read_text() for path in sources()})

    assert len(owners) > 150
    assert {code: names for code, names in owners.items() if len(names) > 1} == {}


def test_two_classes_with_one_code_are_found():
    one = 'class A(Exception):\n    code = "same"\n'
    other = 'class B(Exception):\n    code: ClassVar[str] = "same"\nclass C(B):\n    code: str\n'

    assert owners_of_codes({Path("x"): one, Path("y"): other}) == {"same": ["x: A", "y: B"]}


def sources():
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def owners_of_codes(texts):
    """The classes that set `code` in their bodies, by code; who inherits one sets none."""
    owners = defaultdict(list)
    for path, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                for code in filter(None, map(code_of, node.body)):
                    owners[code].append(f"{path}: {node.name}")
    return owners


def code_of(statement):
    match statement:
        case (
            ast.Assign(targets=[ast.Name("code")], value=ast.Constant(str(code)))
            | ast.AnnAssign(target=ast.Name("code"), value=ast.Constant(str(code)))
        ):
            return code
        case _:
            return None
