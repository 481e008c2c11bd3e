"""The model options of packs that change a network from within, and the state of one pass."""

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from torch import nn

from nodes.comfy.values.errors import NotOfferedError
from nodes.comfy.values.patches.wrappers import CallbacksMP, WrappersMP

INSIDE = "transformer_options"
FUNCTION = "model_function_wrapper"
OVERRIDE = "optimized_attention_override"
HOOKS = ("patches", "patches_replace", "wrappers", OVERRIDE)
"""The transformer options that change what a network computes."""
PATCHES = frozenset(
    (
        *("attn1_patch", "attn2_patch", "attn1_output_patch", "attn2_output_patch"),
        *("input_block_patch", "input_block_patch_after_skip", "output_block_patch", "emb_patch"),
    )
)
"""The names of lists of functions that are called."""
REPLACED = frozenset(("attn1", "attn2"))
"""The kinds of layers that can be replaced."""
AROUND_PASSES = frozenset((WrappersMP.APPLY_MODEL, WrappersMP.DIFFUSION_MODEL))
"""The kinds of wrappers that are called in every pass through the network."""
AROUND_SAMPLING = frozenset(
    (
        *(WrappersMP.OUTER_SAMPLE, WrappersMP.PREPARE_SAMPLING, WrappersMP.SAMPLER_SAMPLE),
        *(WrappersMP.PREDICT_NOISE, WrappersMP.CALC_COND_BATCH),
    )
)
"""The kinds of wrappers that are called by a guider."""
_AT_ENDS = (CallbacksMP.ON_PRE_RUN, CallbacksMP.ON_CLEANUP)
Options: TypeAlias = Mapping[str, Any]


class PackAlteration:
    """The base of what packs put on a model's handle; as a `PackModel` it is in the options."""

    __slots__ = ()

    def alter(self, network: nn.Module) -> None:
        """Leave a network as it is; see `nodes.sampling.conditioning.cond.Alteration`."""


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """An object of a pack, equal to itself alone."""

    value: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def freeze(value: object) -> Hashable:
    """Return options as a value that is equal for the same functions in the same places."""
    if isinstance(value, Mapping):
        found = cast("Mapping[object, object]", value)
        return tuple((str(key), freeze(each)) for key, each in found.items() if each)
    if isinstance(value, list | tuple):
        return tuple(freeze(each) for each in cast("Sequence[object]", value))
    return Same(value)


def hooks_of(options: Options) -> dict[str, Any]:
    """Return those of a model's options that change what its network computes.

    Raises:
        NotOfferedError: one of them has no counterpart.
    """
    inside = options.get(INSIDE, {})
    found = {name: inside[name] for name in HOOKS if inside.get(name)}
    unknown = [name for name, each in found.get("patches", {}).items() if each]
    unknown = [name for name in unknown if name not in PATCHES]
    unknown += [name for name in _replacements(found) if name not in REPLACED]
    if unknown:
        what = f"the patch {unknown[0]!r} of a network"
        raise NotOfferedError(what, hint=f"These work: {', '.join(sorted(PATCHES | REPLACED))}.")
    kinds = [kind for kind, each in found.get("wrappers", {}).items() if each]
    known = AROUND_PASSES | AROUND_SAMPLING
    kinds = [kind for kind in kinds if kind not in known]
    if kinds:
        what = f"a wrapper around {kinds[0]!r}"
        raise NotOfferedError(what, hint=f"These work: {', '.join(sorted(known))}.")
    if options.get(FUNCTION):
        found[FUNCTION] = options[FUNCTION]
    return found


def is_sampled_by_packs(options: Options) -> bool:
    """Return True if functions of packs go around sampling, not only inside of the network."""
    inside = options.get(INSIDE, {})
    around, called = inside.get("wrappers", {}), inside.get("callbacks", {})
    kinds = [*(around.get(kind) for kind in AROUND_SAMPLING), *(called.get(k) for k in _AT_ENDS)]
    return any(functions for by_key in kinds if by_key for functions in by_key.values())


def _replacements(hooks: Options) -> list[str]:
    return [name for name, each in hooks.get("patches_replace", {}).items() if each]


@dataclass(slots=True)
class PassState:
    """One pass through a network, as the functions of packs see it."""

    options: dict[str, Any]
    """The `transformer_options` of the pass."""
    joins: int = 0
    """The skip connections that were joined so far."""

    def patches(self, name: str) -> Sequence[Callable[..., Any]]:
        """Return the functions of a name."""
        return self.options.get("patches", {}).get(name, ())

    def replacement(self, kind: str, block: tuple[str, int, int]) -> Callable[..., Any] | None:
        """Return the function in place of a layer, for its transformer block or all of a block."""
        found = self.options.get("patches_replace", {}).get(kind, {})
        return found.get(block) or found.get(block[:2])

    def extra(self, **more: object) -> dict[str, Any]:
        """Return the options that functions get in a layer."""
        own = ("patches", "patches_replace")
        return {name: each for name, each in self.options.items() if name not in own} | more


_STATE: ContextVar[PassState | None] = ContextVar("pack_pass", default=None)


def current_pass() -> PassState | None:
    """Return the pass that this thread's network is in; None if packs change nothing in it."""
    return _STATE.get()


@contextmanager
def during_pass(state: PassState) -> Generator[None]:
    """Let `current_pass` return this one in the block."""
    token = _STATE.set(state)
    try:
        yield
    finally:
        _STATE.reset(token)


@dataclass(slots=True, eq=False)
class LiveOptions:
    """The transformer options of a run, which may be others at each call."""

    inside: dict[str, Any] = field(default_factory=dict[str, Any])
    given: dict[str, Any] | None = None
    """Those of the pass that a pack has begun, which has them from the pack."""
    owner: object = None
    """The object under the MODEL that the options are of."""
