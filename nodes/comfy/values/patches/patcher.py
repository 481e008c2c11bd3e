"""The methods of a MODEL that add functions to its options; see `PackModel`."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.patches.options import FUNCTION, INSIDE
from nodes.comfy.values.patches.wrappers import (
    CallbacksMP,
    Wrapper,
    add_function,
    functions_of,
    functions_with_key,
)

_CALLBACKS = (CallbacksMP.ON_CLONE, CallbacksMP.ON_PRE_RUN, CallbacksMP.ON_CLEANUP)
"""The callbacks that are called here."""
_WRAPPERS, _CALLED = "wrappers", "callbacks"


class OptionPatcher:
    """Something with model options."""

    model_options: dict[str, Any]
    attachments: dict[str, Any]
    """Values of packs that go with the model, by name."""

    def set_model_patch(self, patch: Callable[..., Any], name: str) -> None:
        """Call a function in the network, in the places of a name such as `attn2_patch`."""
        patches = self.model_options.setdefault(INSIDE, {}).setdefault("patches", {})
        patches[name] = [*patches.get(name, []), patch]

    def set_model_patch_replace(
        self,
        patch: Callable[..., Any],
        name: str,
        block_name: str,
        number: int,
        transformer_index: int | None = None,
    ) -> None:
        """Call a function in place of a layer.

        Args:
            patch: the function.
            name: `attn1` or `attn2`.
            block_name: `input`, `middle` or `output`.
            number: of the block in that part.
            transformer_index: of the transformer block in the block; None is all of them.
        """
        replaced = set_replacement(
            self.model_options, patch, name, block_name, number, transformer_index
        )
        self.model_options[INSIDE] = replaced[INSIDE]

    def set_model_attn1_patch(self, patch: Callable[..., Any]) -> None:
        """Change what self-attention reads: (q, k, v, options) to the same three."""
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Callable[..., Any]) -> None:
        """Change what attention to the text reads."""
        self.set_model_patch(patch, "attn2_patch")

    def set_model_attn1_replace(
        self,
        patch: Callable[..., Any],
        block_name: str,
        number: int,
        transformer_index: int | None = None,
    ) -> None:
        """Replace self-attention: (q, k, v, options) to the output, between the layers."""
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(
        self,
        patch: Callable[..., Any],
        block_name: str,
        number: int,
        transformer_index: int | None = None,
    ) -> None:
        """Replace attention to the text."""
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    def set_model_attn1_output_patch(self, patch: Callable[..., Any]) -> None:
        """Change the output of self-attention: (output, options) to the output."""
        self.set_model_patch(patch, "attn1_output_patch")

    def set_model_attn2_output_patch(self, patch: Callable[..., Any]) -> None:
        """Change the output of attention to the text."""
        self.set_model_patch(patch, "attn2_output_patch")

    def set_model_input_block_patch(self, patch: Callable[..., Any]) -> None:
        """Change hidden states after each block on the way down, skip connections too."""
        self.set_model_patch(patch, "input_block_patch")

    def set_model_input_block_patch_after_skip(self, patch: Callable[..., Any]) -> None:
        """Change hidden states after each block on the way down, without skip connections."""
        self.set_model_patch(patch, "input_block_patch_after_skip")

    def set_model_output_block_patch(self, patch: Callable[..., Any]) -> None:
        """Change hidden states and skip connection before each block on the way up."""
        self.set_model_patch(patch, "output_block_patch")

    def set_model_emb_patch(self, patch: Callable[..., Any]) -> None:
        """Change the embedding of the timestep."""
        self.set_model_patch(patch, "emb_patch")

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Callable[..., Tensor]) -> None:
        """Call a function in place of `apply_model`, with it and its arguments."""
        self.model_options[FUNCTION] = unet_wrapper_function

    def add_wrapper(self, wrapper_type: str, wrapper: Wrapper) -> None:
        """Put a function around a step of sampling; see `WrappersMP`."""
        self.add_wrapper_with_key(wrapper_type, None, wrapper)

    def add_wrapper_with_key(self, wrapper_type: str, key: str | None, wrapper: Wrapper) -> None:
        """Put a function around a step of sampling, to be removed by its key."""
        add_function(_WRAPPERS, wrapper_type, key, wrapper, self.model_options, True)

    def remove_wrappers_with_key(self, wrapper_type: str, key: str) -> None:
        """Remove the functions that were added with a key."""
        self.wrappers.get(wrapper_type, {}).pop(key, None)

    def get_wrappers(self, wrapper_type: str, key: str) -> list[Wrapper]:
        """Return the functions that were added with a key."""
        return functions_with_key(_WRAPPERS, wrapper_type, key, self.model_options, True)

    def get_all_wrappers(self, wrapper_type: str) -> list[Wrapper]:
        """Return all functions around a step of sampling."""
        return list(functions_of(_WRAPPERS, wrapper_type, self.model_options, True))

    @property
    def wrappers(self) -> dict[str, Any]:
        """Return the functions around steps of sampling, by kind and key."""
        return self.model_options.setdefault(INSIDE, {}).setdefault(_WRAPPERS, {})

    @property
    def callbacks(self) -> dict[str, Any]:
        """Return the callbacks, by kind and key."""
        return self.model_options.setdefault(INSIDE, {}).setdefault(_CALLED, {})

    def add_callback(self, call_type: str, callback: Wrapper) -> None:
        """Have a function called when the model is copied, or before or after sampling."""
        self.add_callback_with_key(call_type, None, callback)

    def add_callback_with_key(self, call_type: str, key: str | None, callback: Wrapper) -> None:
        """Have a function called, to be removed by its key; see `add_callback`.

        Raises:
            NotOfferedError: it is for something that does not happen here.
        """
        if call_type not in _CALLBACKS:
            what = f"the callback {call_type!r} of a model"
            raise NotOfferedError(what, hint=f"These are called: {', '.join(_CALLBACKS)}.")
        add_function(_CALLED, call_type, key, callback, self.model_options, True)

    def remove_callbacks_with_key(self, call_type: str, key: str) -> None:
        """Remove the callbacks that were added with a key."""
        self.callbacks.get(call_type, {}).pop(key, None)

    def get_callbacks(self, call_type: str, key: str) -> list[Wrapper]:
        """Return the callbacks that were added with a key."""
        return functions_with_key(_CALLED, call_type, key, self.model_options, True)

    def get_all_callbacks(self, call_type: str) -> list[Wrapper]:
        """Return all callbacks of a kind."""
        return list(functions_of(_CALLED, call_type, self.model_options, True))

    def set_attachments(self, key: str, attachment: object) -> None:
        """Keep a value with the model."""
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        """Return a value that was kept with the model; None if there is none."""
        return self.attachments.get(key)

    def remove_attachments(self, key: str) -> None:
        """Forget a value that was kept with the model."""
        self.attachments.pop(key, None)


def set_replacement(
    options: Mapping[str, Any],
    patch: Callable[..., Any],
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> dict[str, Any]:
    """Return model options with a function in place of a layer; see `set_model_patch_replace`."""
    block = (block_name, number) + (() if transformer_index is None else (transformer_index,))
    inside = options.get(INSIDE, {})
    replaced = inside.get("patches_replace", {})
    chosen = {**replaced.get(name, {}), block: patch}
    return {**options, INSIDE: {**inside, "patches_replace": {**replaced, name: chosen}}}
