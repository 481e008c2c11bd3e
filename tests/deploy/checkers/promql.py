"""Checks dashboards and rules: every expression is one of Prometheus."""

# pyright: reportMissingImports=false

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import yaml

VARIABLES = {"$__rate_interval": "5m", "$job": ".*"}
"""What Grafana puts into expressions."""


def check_promql(path: Path) -> list[str]:
    """Return everything wrong with the expressions of a dashboard or of alert rules."""
    found = [finding for where, text in _expressions(path) for finding in _parse(where, text)]
    return found or (
        [] if any(True for _ in _expressions(path)) else [f"{path.name} has no expression"]
    )


def _expressions(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix == ".json":
        for panel in json.loads(path.read_text())["panels"]:
            yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))
    else:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])


def _parse(where: str, text: str) -> Iterator[str]:
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    if left := re.search(r"\$\w+", text):
        yield f"{where}: nothing sets {left[0]}"
        return
    try:
        promql_parser.parse(text)
    except ValueError as error:
        yield f"{where}: {error}"
