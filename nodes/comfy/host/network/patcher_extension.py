"""`comfy.patcher_extension`: functions around the steps of sampling, in options of models."""

from collections.abc import Mapping
from typing import Any

from nodes.comfy.values.patches.wrappers import CallbacksMP as CallbacksMP
from nodes.comfy.values.patches.wrappers import (
    Wrapper,
    add_function,
    functions_of,
    functions_with_key,
)
from nodes.comfy.values.patches.wrappers import WrapperExecutor as WrapperExecutor
from nodes.comfy.values.patches.wrappers import WrappersMP as WrappersMP


def add_wrapper(
    wrapper_type: str,
    wrapper: Wrapper,
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a wrapper to options; see `WrappersMP`."""
    add_function("wrappers", wrapper_type, None, wrapper, transformer_options, is_model_options)


def add_wrapper_with_key(
    wrapper_type: str,
    key: str | None,
    wrapper: Wrapper,
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a wrapper to options under a key."""
    add_function("wrappers", wrapper_type, key, wrapper, transformer_options, is_model_options)


def get_wrappers_with_key(
    wrapper_type: str,
    key: str,
    transformer_options: Mapping[str, Any],
    is_model_options: bool = False,
) -> list[Wrapper]:
    """Return the wrappers that were added with a key."""
    return functions_with_key("wrappers", wrapper_type, key, transformer_options, is_model_options)


def get_all_wrappers(
    wrapper_type: str, transformer_options: Mapping[str, Any], is_model_options: bool = False
) -> list[Wrapper]:
    """Return the wrappers of a kind."""
    return list(functions_of("wrappers", wrapper_type, transformer_options, is_model_options))


def add_callback(
    call_type: str,
    callback: Wrapper,
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a callback to options; see `CallbacksMP`."""
    add_function("callbacks", call_type, None, callback, transformer_options, is_model_options)


def add_callback_with_key(
    call_type: str,
    key: str | None,
    callback: Wrapper,
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a callback to options under a key."""
    add_function("callbacks", call_type, key, callback, transformer_options, is_model_options)


def get_callbacks_with_key(
    call_type: str,
    key: str,
    transformer_options: Mapping[str, Any],
    is_model_options: bool = False,
) -> list[Wrapper]:
    """Return the callbacks that were added with a key."""
    return functions_with_key("callbacks", call_type, key, transformer_options, is_model_options)


def get_all_callbacks(
    call_type: str, transformer_options: Mapping[str, Any], is_model_options: bool = False
) -> list[Wrapper]:
    """Return the callbacks of a kind."""
    return list(functions_of("callbacks", call_type, transformer_options, is_model_options))


def copy_nested_dicts(input_dict: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a copy of dicts in dicts; lists are copied, other values shared."""
    return {
        key: copy_nested_dicts(value)
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, list)
        else value
        for key, value in input_dict.items()
    }


def merge_nested_dicts(
    dict1: Mapping[Any, Any], dict2: Mapping[Any, Any], copy_dict1: bool = True
) -> dict[Any, Any]:
    """Return two nested dicts as one: lists one after the other, of other values the second's."""
    merged = copy_nested_dicts(dict1) if copy_dict1 or not isinstance(dict1, dict) else dict1
    for key, value in dict2.items():
        before = merged.get(key)
        if isinstance(value, dict):
            merged[key] = merge_nested_dicts(before if isinstance(before, dict) else {}, value)
        elif isinstance(value, list):
            merged[key] = [*(before if isinstance(before, list) else []), *value]
        else:
            merged[key] = value
    return merged
