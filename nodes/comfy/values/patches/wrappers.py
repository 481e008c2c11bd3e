"""Functions of packs around the steps of sampling: kept in dicts by kind and key, and called."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Wrapper: TypeAlias = Callable[..., Any]
"""Gets a `WrapperExecutor` and the arguments; calls the executor with them, or does not."""
ByKind: TypeAlias = dict[str, dict[str | None, list[Wrapper]]]
"""Functions by kind, then by the key that they were added with."""


class WrappersMP:
    """The kinds of wrappers, from the outside in."""

    OUTER_SAMPLE = "outer_sample"
    PREPARE_SAMPLING = "prepare_sampling"
    SAMPLER_SAMPLE = "sampler_sample"
    PREDICT_NOISE = "predict_noise"
    CALC_COND_BATCH = "calc_cond_batch"
    APPLY_MODEL = "apply_model"
    DIFFUSION_MODEL = "diffusion_model"


class CallbacksMP:
    """The kinds of callbacks."""

    ON_CLONE = "on_clone"
    ON_LOAD = "on_load_after"
    ON_DETACH = "on_detach_after"
    ON_CLEANUP = "on_cleanup"
    ON_PRE_RUN = "on_pre_run"
    ON_PREPARE_STATE = "on_prepare_state"
    ON_APPLY_HOOKS = "on_apply_hooks"
    ON_REGISTER_ALL_HOOK_PATCHES = "on_register_all_hook_patches"
    ON_INJECT_MODEL = "on_inject_model"
    ON_EJECT_MODEL = "on_eject_model"


class WrapperExecutor:
    """Calls a function through the wrappers around it, the one that was added first outermost.

    Args:
        original: the function.
        class_obj: the object that it belongs to, for wrappers to look at.
        wrappers: around it.
        idx: the number of the wrapper that is called next.
    """

    def __init__(
        self, original: Callable[..., Any], class_obj: Any, wrappers: Sequence[Wrapper], idx: int
    ) -> None:
        self.original = original
        self.class_obj = class_obj
        self.wrappers = list(wrappers)
        self.idx = idx
        self.is_last = idx == len(self.wrappers)

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Call what is inside of the wrapper that holds this."""
        return self._next().execute(*args, **more)

    def execute(self, *args: Any, **more: Any) -> Any:
        """Call the next wrapper, or the function if there is none."""
        if self.is_last:
            return self.original(*args, **more)
        return self.wrappers[self.idx](self, *args, **more)

    def _next(self) -> "WrapperExecutor":
        return WrapperExecutor(self.original, self.class_obj, self.wrappers, self.idx + 1)

    @classmethod
    def new_executor(
        cls, original: Callable[..., Any], wrappers: Sequence[Wrapper], idx: int = 0
    ) -> "WrapperExecutor":
        """Return the executor of a function that belongs to no object."""
        return cls(original, None, wrappers, idx)

    @classmethod
    def new_class_executor(
        cls,
        original: Callable[..., Any],
        class_obj: Any,
        wrappers: Sequence[Wrapper],
        idx: int = 0,
    ) -> "WrapperExecutor":
        """Return the executor of a function that belongs to an object."""
        return cls(original, class_obj, wrappers, idx)


def add_function(
    name: str,
    kind: str,
    key: str | None,
    function: Wrapper,
    options: dict[str, Any],
    is_model_options: bool,
) -> None:
    """Add a function to the dicts in options.

    Args:
        name: of the dicts, `wrappers` or `callbacks`.
        kind: see `WrappersMP` and `CallbacksMP`.
        key: of the pack; None for none.
        function: to be called.
        options: a model's, or its `transformer_options`.
        is_model_options: says that `options` are the model's.
    """
    place = options.setdefault("transformer_options", {}) if is_model_options else options
    place.setdefault(name, {}).setdefault(kind, {}).setdefault(key, []).append(function)


def functions_of(
    name: str, kind: str, options: Mapping[str, Any], is_model_options: bool = False
) -> Iterator[Wrapper]:
    """Yield the functions of a kind in options, key by key; see `add_function`."""
    place = options.get("transformer_options", {}) if is_model_options else options
    for functions in place.get(name, {}).get(kind, {}).values():
        yield from functions


def functions_with_key(
    name: str, kind: str, key: str, options: Mapping[str, Any], is_model_options: bool = False
) -> list[Wrapper]:
    """Return the functions of a kind that were added with a key; see `add_function`."""
    place = options.get("transformer_options", {}) if is_model_options else options
    return list(place.get(name, {}).get(kind, {}).get(key, []))


def with_wrappers(
    kind: str, original: Callable[..., Any], class_obj: Any, inside: Mapping[str, Any]
) -> Callable[..., Any]:
    """Return a function with the wrappers of a kind around it.

    Args:
        kind: see `WrappersMP`.
        original: the function.
        class_obj: the object that it belongs to.
        inside: the `transformer_options`.
    """
    found = list(functions_of("wrappers", kind, inside))
    if not found:
        return original
    return WrapperExecutor.new_class_executor(original, class_obj, found).execute
