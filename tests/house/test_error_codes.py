"""Every error has a code of its own: a code that two classes share names two causes.

A class sets its code in its body. A class for several causes takes the code as an argument of its
`__init__`, annotated with an alias of a `Literal` in the same file: the closed set of its codes.
"""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("nodegraph", "nodes", "server")

SEVERAL = """
Codes: TypeAlias = Literal["one", "two"]

class Several(Exception):
    def __init__(self, path: str, *, code: Codes) -> None:
        self.code = code
"""
"""A class with a closed set of codes, as the house writes them."""


def test_no_code_belongs_to_two_classes():
    owners = owners_of_codes(sources())

    assert len(owners) > 150
    assert {code: names for code, names in owners.items() if len(names) > 1} == {}


def test_two_classes_with_one_code_are_found():
    one = 'class A(Exception):\n    code = "same"\n'
    other = 'class B(Exception):\n    code: ClassVar[str] = "same"\nclass C(B):\n    code: str\n'

    assert owners_of_codes({Path("x"): one, Path("y"): other}) == {"same": ["x: A", "y: B"]}


def test_a_code_of_a_set_that_another_class_has_is_found():
    other = 'class B(Exception):\n    code = "two"\n'

    owners = owners_of_codes({Path("x"): SEVERAL, Path("y"): other})

    assert owners == {"one": ["x: Several"], "two": ["x: Several", "y: B"]}


def test_every_code_of_a_set_is_raised_and_no_other():
    assert misused_codes(sources()) == []


def test_codes_of_a_set_that_are_never_raised_or_not_literal_are_found():
    raised = 'raise Several("x", code="one")\nraise Several("x", code=chosen)\nraise Several("x")\n'

    assert misused_codes({Path("x"): SEVERAL, Path("y"): raised}) == [
        "y: Several takes a literal code: Several('x', code=chosen)",
        "y: Several takes a literal code: Several('x')",
        "Several: 'two' is never raised",
    ]


def test_a_table_of_codes_has_every_code_of_its_set():
    assert incomplete_tables(sources()) == []


def test_a_table_that_lacks_a_code_is_found():
    table = '_HINTS: Mapping[Codes, str] = {"one": "Try again."}\n'

    assert incomplete_tables({Path("x"): SEVERAL + table}) == ["x: _HINTS lacks two"]


@cache
def parse(text):
    """The tree of a file; several questions are asked of each."""
    return ast.parse(text)


@pytest.fixture(autouse=True, scope="module")
def _trees_are_forgotten():
    yield
    parse.cache_clear()


def sources():
    return {
        path: path.read_text() for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))
    }


def owners_of_codes(texts):
    """The classes that set `code`, or take it from a set, by code; who inherits one sets none."""
    owners = defaultdict(list)
    for path, text in texts.items():
        tree = parse(text)
        for node in classes(tree):
            for code in filter(None, map(code_of, node.body)):
                owners[code].append(f"{path}: {node.name}")
        for name, codes in sets_of_codes(tree).items():
            for code in codes:
                owners[code].append(f"{path}: {name}")
    return owners


def misused_codes(texts):
    """What is wrong with the calls of classes that take their code from a set."""
    trees = {path: parse(text) for path, text in texts.items()}
    left = {
        name: set(codes) for tree in trees.values() for name, codes in sets_of_codes(tree).items()
    }
    found = []
    for path, tree in trees.items():
        for name, call in calls_of(tree, left):
            code = next((word.value for word in call.keywords if word.arg == "code"), None)
            match code:
                case ast.Constant(str(value)):
                    left[name].discard(value)
                case _:
                    found.append(f"{path}: {name} takes a literal code: {ast.unparse(call)}")
    never = (f"{name}: {code!r} is never raised" for name in left for code in sorted(left[name]))
    return [*found, *never]


def incomplete_tables(texts):
    """The module-level tables by code that lack an entry; the type checker finds none too many."""
    found = []
    for path, text in texts.items():
        tree = parse(text)
        aliases = dict(filter(None, map(literal_alias, tree.body)))
        of_codes = {alias for _, alias in code_arguments(tree)}
        for name, alias, keys in filter(None, map(table_by_alias, tree.body)):
            lacking = set(aliases[alias]) - keys if alias in of_codes else ()
            found.extend(f"{path}: {name} lacks {code}" for code in sorted(lacking))
    return found


def table_by_alias(statement):
    match statement:
        case ast.AnnAssign(
            target=ast.Name(name),
            annotation=ast.Subscript(
                value=ast.Name("Mapping"), slice=ast.Tuple(elts=[ast.Name(alias), _])
            ),
            value=ast.Dict(keys=keys),
        ):
            return name, alias, {key.value for key in keys if isinstance(key, ast.Constant)}
        case _:
            return None


def classes(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def calls_of(tree, names):
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(name)) if name in names:
                yield name, node
            case _:
                pass


def code_of(statement):
    match statement:
        case (
            ast.Assign(targets=[ast.Name("code")], value=ast.Constant(str(code)))
            | ast.AnnAssign(target=ast.Name("code"), value=ast.Constant(str(code)))
        ):
            return code
        case _:
            return None


def sets_of_codes(tree):
    """The codes that classes take as an argument, by class."""
    aliases = dict(filter(None, map(literal_alias, tree.body)))
    return {name: aliases[alias] for name, alias in code_arguments(tree)}


def code_arguments(tree):
    """Every class that takes its code as an argument, with the name of the argument's type."""
    for node in classes(tree):
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                for argument in (*method.args.args, *method.args.kwonlyargs):
                    if argument.arg == "code" and isinstance(argument.annotation, ast.Name):
                        yield node.name, argument.annotation.id


def literal_alias(statement):
    match statement:
        case ast.AnnAssign(
            target=ast.Name(name), value=ast.Subscript(value=ast.Name("Literal"), slice=members)
        ):
            constants = members.elts if isinstance(members, ast.Tuple) else [members]
            return name, [str(item.value) for item in constants if isinstance(item, ast.Constant)]
        case _:
            return None
