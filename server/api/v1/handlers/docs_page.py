"""`/v1/docs`: the documentation of the API, as one page without scripts or other files."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Any

from server.api.v1.schema.openapi import parameters, schemas, summary, tag
from server.api.v1.schema.operation import IMAGES, Operation, Reply
from server.api.v1.schema.paths import DOCUMENT

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2128; background: #fff; }
h1 { margin-bottom: .2rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d0d7de; }
h3 { font-size: 1rem; margin: 0; }
code { font: .9em ui-monospace, monospace; }
.operation, .schema { border: 1px solid #d0d7de; border-radius: 6px; padding: .8rem 1rem;
  margin: 1rem 0; }
.method { display: inline-block; min-width: 4rem; font-weight: 700; }
.GET { color: #0550ae; } .POST { color: #116329; } .DELETE { color: #a40e26; }
table { border-collapse: collapse; width: 100%; margin-top: .6rem; }
td { border-top: 1px solid #eaeef2; padding: .3rem .8rem .3rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; width: 9rem; } td:nth-child(2) { width: 19rem; }
p { margin: .4rem 0; } .kind { color: #57606a; }
a { color: #0550ae; text-decoration: none; } a:hover { text-decoration: underline; }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #e6edf3; } a, .GET { color: #79c0ff; }
  .POST { color: #7ee787; } .DELETE { color: #ff7b72; } .kind { color: #9198a1; }
  h2, .operation, .schema, td { border-color: #30363d; } }
"""


def page(operations: Sequence[Operation]) -> str:
    """Return the page as HTML."""
    groups = groupby(operations, key=tag)
    parts = [_group(name, list(members)) for name, members in groups]
    models = "".join(_schema(name, schema) for name, schema in schemas(operations).items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>nodegraph API</title>'
        f"<style>{_STYLE}</style></head><body><h1>nodegraph API</h1>"
        f'<p>As data: <a href="{DOCUMENT}"><code>{DOCUMENT}</code></a> (OpenAPI 3.1). '
        'All errors are of the form <a href="#Problem">Problem</a>.</p>'
        f"{''.join(parts)}<h2>Bodies</h2>{models}</body></html>"
    )


def _group(name: str, members: Iterable[Operation]) -> str:
    return f"<h2>{escape(name)}</h2>{''.join(map(_operation, members))}"


def _operation(operation: Operation) -> str:
    first, rest = summary(operation)
    rows = [
        (f"<code>{escape(item['name'])}</code>", _kind(item["schema"], item["in"]), _prose(item))
        for item in parameters(operation)
    ]
    if operation.takes:
        kinds = f" or {', '.join(IMAGES)}" if operation.pictures else ""
        rows.append(("body", _link(operation.takes.__name__), escape(kinds)))
    rows += [
        (f"<b>{status}</b>", _content_kinds(one), escape(one.description))
        for status, one in operation.replies.items()
    ]
    return (
        f'<div class="operation" id="{operation.name}"><h3>'
        f'<span class="method {operation.method}">{operation.method}</span> '
        f"<code>{escape(operation.path)}</code></h3>"
        f"<p>{_text(first)}</p><p>{_text(rest)}</p>{_table(rows)}</div>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(field)}</code>",
            _kind(facts, "required" if field in required else ""),
            _prose(facts),
        )
        for field, facts in schema.get("properties", {}).items()
    ]
    said = _text(schema.get("description", ""))
    return (
        f'<div class="schema" id="{escape(name)}"><h3>{escape(name)}</h3>'
        f"<p>{said}</p>{_table(rows)}</div>"
    )


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{lines}</table>" if lines else ""


def _content_kinds(one: Reply) -> str:
    kinds = [_link(one.model.__name__)] if one.model else []
    return ", ".join([*kinds, *(escape(kind) for kind in one.media)])


def _kind(schema: dict[str, Any], more: str = "") -> str:
    """Return the HTML of a type and its limits, in a few words."""
    limits = [f"{sign} {schema[key]}" for key, sign in _LIMITS if key in schema]
    words = ", ".join([_type(schema), *limits, *([more] if more else [])])
    return f'<span class="kind">{words}</span>'


_LIMITS = (("minimum", "≥"), ("maximum", "≤"), ("maxLength", "length ≤"))


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return escape(" | ".join(map(str, schema["enum"])))
    if "const" in schema:
        return escape(str(schema["const"]).lower())
    kind = str(schema.get("type", "anything"))
    return f"list of {_type(schema.get('items', {}))}" if kind == "array" else escape(kind)


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _prose(facts: dict[str, Any]) -> str:
    return _text(facts.get("description", ""))


def _text(text: str) -> str:
    """Return the HTML of a text, with `code` marked up."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{one}</code>" if k % 2 else one for k, one in enumerate(pieces))
