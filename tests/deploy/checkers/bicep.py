"""Checks Bicep: a parser, names that are not declared, and properties that the resource has not.

The compiler of Bicep comes from no package registry, so types of values are not checked.
"""

# pyright: reportMissingImports=false

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pycep
from azure.mgmt.appcontainers import models as apps
from azure.mgmt.monitor import models as monitor
from lark.exceptions import LarkError

KEYWORDS = {
    "resource",
    "param",
    "var",
    "output",
    "existing",
    "true",
    "false",
    "null",
    "string",
    "int",
    "bool",
    "object",
    "array",
    "targetScope",
}
FUNCTIONS = {
    "guid",
    "json",
    "resourceGroup",
    "string",
    "subscriptionResourceId",
    "take",
    "uniqueString",
    "allowed",
    "description",
    "maxLength",
    "maxValue",
    "minLength",
    "minValue",
    "secure",
}
"""The functions and decorators that our files use; another one is added here."""
TOP = {
    "name",
    "location",
    "sku",
    "kind",
    "parent",
    "scope",
    "identity",
    "tags",
    "dependsOn",
    "properties",
}
MODELS: Mapping[str, type[Any]] = {
    "Microsoft.App/containerApps": apps.ContainerApp,
    "Microsoft.App/managedEnvironments": apps.ManagedEnvironment,
    "Microsoft.App/managedEnvironments/storages": apps.ManagedEnvironmentStorage,
    "Microsoft.Insights/autoscaleSettings": monitor.AutoscaleSettingResource,
}
"""Resources whose properties are checked, by the classes of Azure's own clients."""
MOST_FAILURES = 10
EXPRESSIONS = {"operator", "function"}
"""The keys by which the parser marks what is computed."""
_TEXT = re.compile(r"'(?:\\.|[^'\\])*'")
_TOKEN = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_]\w*)(?P<after>:|\s*\()?")
_MODEL = re.compile(r"_models\.(\w+)")


def check_bicep(path: Path) -> list[str]:
    """Return everything wrong with a Bicep file."""
    try:
        tree = pycep.BicepParser().parse(file_path=path)
    except LarkError as error:
        return [f"pycep: {str(error).splitlines()[0]}"]
    text = re.sub(r"(?m)^\s*//.*$", "", path.read_text())
    resources: Mapping[str, Any] = tree.get("resources", {})
    return [
        *_names(text, tree),
        *(finding for name, each in resources.items() for finding in _resource(name, each)),
        *_secrets(tree.get("parameters", {})),
    ]


def _names(text: str, tree: Mapping[str, Any]) -> Iterator[str]:
    """Yield names that are used and not declared, and names that are declared and not used."""
    places = ("parameters", "variables", "resources", "outputs")
    declared = {name for place in places for name in tree.get(place, {})}
    inserted = " ".join(re.findall(r"\$\{([^}]*)\}", text))
    code = f"{_TEXT.sub(' ', text)} {inserted}"
    code = re.sub(r"(?m)^(?:param|var|resource|output) \w+", " ", code)
    used: set[str] = set()
    for match in _TOKEN.finditer(code):
        name, after = match["name"], (match["after"] or "").strip()
        if after == ":" or name in KEYWORDS:
            continue
        if after == "(":
            if name not in FUNCTIONS:
                yield f"the function {name!r} is not known"
            continue
        used.add(name)
    yield from (f"{name!r} is not declared" for name in sorted(used - declared))
    unused = declared - used - set(tree.get("resources", {})) - set(tree.get("outputs", {}))
    yield from (f"{name!r} is not used" for name in sorted(unused))


def _secrets(parameters: Mapping[str, Any]) -> Iterator[str]:
    for name, each in parameters.items():
        secure = any(item["type"] == "secure" for item in each.get("decorators", ()))
        if secure and each.get("default") is not None:
            yield f"the secret {name!r} has a default"
        if re.search(r"password|token|secret|key$", name, re.IGNORECASE) and not secure:
            yield f"the secret {name!r} is not @secure()"


def _resource(name: str, each: Mapping[str, Any]) -> Iterator[str]:
    kind, version = each["type"], each["api_version"]
    if not re.fullmatch(r"20\d\d-\d\d-\d\d(-preview)?", version):
        yield f"{name}: {version!r} is no version of an API"
    config = each["config"]
    yield from (f"{name}: no property {key!r}" for key in config if key not in TOP)
    if kind in MODELS:
        yield from _unknown(config, MODELS[kind], name)
    for probe in _found(config, "probes"):
        if probe.get("failureThreshold", 3) > MOST_FAILURES:
            yield f"{name}: Container Apps take a failureThreshold of at most {MOST_FAILURES}"


def _found(tree: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the items of every list of that name."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from value if name == key and isinstance(value, list) else _found(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from _found(value, key)


def _unknown(value: Any, model: type[Any], where: str) -> Iterator[str]:
    """Yield the keys that a class of Azure's clients has no field for."""
    if isinstance(value, list):
        for item in value:
            yield from _unknown(item, model, where)
    elif isinstance(value, dict) and not value.keys() <= EXPRESSIONS:
        fields = _fields(model)
        for key, inside in value.items():
            if not fields or key in ("parent", "scope", "dependsOn", "name"):
                continue
            if key not in fields:
                yield f"{where}: {model.__name__} has no {key!r}"
            elif (kind := fields[key]) is not None:
                yield from _unknown(inside, kind, f"{where}.{key}")


def _fields(model: type[Any]) -> dict[str, type[Any] | None]:
    """Return the keys in JSON of a class, and the class of each that holds another object."""
    if hasattr(model, "_attribute_map"):
        return _flat_fields(model)
    model({})  # the fields are known from the first object on
    kinds = {
        name: kind
        for base in reversed(model.__mro__)
        for name, kind in getattr(base, "__annotations__", {}).items()
    }
    fields: dict[str, type[Any] | None] = {}
    for name, field in model._attr_to_rest_field.items():
        found = _MODEL.search(str(kinds.get(name, "")))
        plain = "dict[" in str(kinds.get(name, "")).lower()
        fields[field._rest_name] = getattr(apps, found[1]) if found and not plain else None
    return fields


def _flat_fields(model: type[Any]) -> dict[str, type[Any] | None]:
    """Return the same of an older client, whose keys have dots where objects are inside."""
    fields: dict[str, type[Any] | None] = {}
    inside: dict[str, Any] = {}
    for item in model._attribute_map.values():
        outer, dot, key = item["key"].partition(".")
        kind = getattr(monitor, item["type"].strip("[]"), None)
        if dot:
            inside[key] = {"key": key, "type": item["type"]}
        else:
            fields[outer] = kind if hasattr(kind, "_attribute_map") else None
    if inside:
        fields["properties"] = type("Properties", (), {"_attribute_map": inside})
    return fields
