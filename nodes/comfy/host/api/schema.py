"""The v3 contract's declarations: a schema, its inputs and its outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nodes.comfy.host.folder_paths import FileList


class Hidden(StrEnum):
    """The hidden inputs that a node may declare."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class Input:
    """An input of any type; `type_name` is its socket.

    Args:
        id: its name.
        display_name: the name in the editor.
        optional: whether it may be left out.
        **options: what INPUT_TYPES calls its options; None says nothing.
    """

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        **options: Any,
    ) -> None:
        self.id = id
        self.optional = optional
        self.type_name: Any = "*"
        renamed = {_NAMES.get(key, key): value for key, value in options.items()}
        more = renamed.pop("extra_dict", None) or {}
        given_options = {"display_name": display_name, **renamed, **more}
        self.options = {
            key: _plain(value) for key, value in given_options.items() if value is not None
        }

    @property
    def entry(self) -> tuple[Any, dict[str, Any]]:
        """Return it as an entry of INPUT_TYPES."""
        return self.type_name, self.options

    def flatten(self) -> "list[Input]":
        """Return the inputs that INPUT_TYPES has for it, mostly itself alone."""
        return [self]

    def gather(self, values: dict[str, Any]) -> None:
        """Put the values of these inputs into the form that the node's function gets."""


class Output:
    """An output of any type."""

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **_more: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name or id
        self.tooltip = tooltip
        self.is_output_list = is_output_list
        self.type_name: Any = "*"
        self.template_id = ""


@dataclass
class Schema:
    """A node type."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: Sequence[Input | None] = ()
    outputs: Sequence[Output] = ()
    hidden: Sequence[Hidden] = ()
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    is_dev_only: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False
    search_aliases: Sequence[str] = field(default_factory=list[str])
    essentials_category: str | None = None
    has_intermediate_output: bool = False
    price_badge: Any = None

    def input_types(self) -> dict[str, dict[str, Any]]:
        """Return the inputs as INPUT_TYPES of the v1 contract."""
        found = [each for item in self.inputs if item is not None for each in item.flatten()]
        optional: dict[str, Any] = {item.id: item.entry for item in found if item.optional}
        return {
            "required": {item.id: item.entry for item in found if not item.optional},
            "optional": AnyName(optional) if self.accept_all_inputs else optional,
            "hidden": {item.name: (item.value,) for item in self.hidden or ()},
        }


class AnyName(dict[str, Any]):
    """A dict of INPUT_TYPES that has every name."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> tuple[str]:
        return ("*",)


def combo(options: Any) -> list[Any]:
    """Return the choices of a list or an enumeration."""
    if isinstance(options, FileList):
        return options
    return [_plain(option) for option in options]


def _plain(value: Any) -> Any:
    """Return the value of an enumeration's member, or any other value unchanged."""
    return getattr(value, "value", value) if hasattr(type(value), "__members__") else value


_NAMES = {
    "display_mode": "display",
    "force_input": "forceInput",
    "dynamic_prompts": "dynamicPrompts",
}
"""The names of options in INPUT_TYPES, where they differ."""
