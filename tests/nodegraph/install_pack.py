"""Packs for tests: installed in a folder of their own, as pip would."""

import textwrap

NODE = """
from nodegraph.definition.node import node

@node("{name}", category="test")
def declared(x: int = 1) -> int:
    \"\"\"Hand x on.\"\"\"
    return x
"""


def install(root, name, *, nodes=(), init="", **files):
    """A pack of one module a node, beside its entry point; `files` are more modules."""
    package = root / f"{name}_pack"
    package.mkdir(parents=True)
    modules = tuple(f"{name}_pack.module{k}" for k in range(len(nodes)))
    for k, node in enumerate(nodes):
        (package / f"module{k}.py").write_text(NODE.format(name=node))
    for module, text in files.items():
        (package / f"{module}.py").write_text(textwrap.dedent(text))
    declared = f"PACK = Pack({name!r}, '1.0', {modules!r}, {{'loras': ('assets',)}})"
    text = init or f"from nodegraph.definition.pack import Pack\n{declared}\n"
    (package / "__init__.py").write_text(textwrap.dedent(text))
    info = root / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"[nodegraph.packs]\n{name} = {name}_pack\n")
    return package
