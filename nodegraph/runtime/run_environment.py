"""The run that a thread computes, for code too deep inside a node to be handed a `Context`."""

from collections.abc import Callable, Collection
from contextvars import ContextVar, Token
from typing import NamedTuple, Protocol, TypeAlias

from nodegraph.errors import RunCancelledError
from nodegraph.runtime.call_merger import CallMerger
from nodegraph.runtime.choices import DEFAULT_ATTENTION, Attention
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.residency import ModelUse

ModelListener: TypeAlias = Callable[[PooledModel, float | None], None]
"""A listener: gets a model, and the seconds to load it; None if it was in memory."""


class ModelUses(Protocol):
    """Receives the uses of models by one run."""

    @property
    def claims(self) -> Collection[int]:
        """The models whose weights the run claims, by identity."""
        ...

    def plan(self, use: ModelUse) -> None:
        """Make room on the accelerator for models that are about to compute there."""
        ...

    def make_room(self, model: PooledModel) -> None:
        """Prepare for the loading of a model's weights."""
        ...

    def note(self, model: PooledModel, seconds: float | None) -> None:
        """Note a use of a model; `seconds` that loading took, None if it was in memory."""
        ...


class CancelToken:
    """A request to stop one run: set once, from any thread, and checked between steps."""

    def __init__(self) -> None:
        self._is_cancelled = False

    def cancel(self) -> None:
        """Ask the run to stop as soon as it can."""
        self._is_cancelled = True

    @property
    def is_cancelled(self) -> bool:
        """True once the run was asked to stop."""
        return self._is_cancelled

    def check(self) -> None:
        """Raise if the run was asked to stop.

        Raises:
            RunCancelledError: it was.
        """
        if self._is_cancelled:
            raise RunCancelledError


def _go_on() -> None:
    """Let the run go on: nobody can cancel it."""


class RunEnvironment(NamedTuple):
    """The run's settings and callbacks for code inside nodes; the defaults hold outside of runs."""

    attention: Attention = DEFAULT_ATTENTION
    """The kernels that networks use."""
    models: ModelUses | None = None
    """The receiver of the run's uses of models."""
    check_cancelled: Callable[[], None] = _go_on
    """Raises `RunCancelledError` if nobody wants the result any more."""
    merger: CallMerger | None = None
    """Merges model calls with those of other runs; None if each run makes its own."""


_NO_RUN = RunEnvironment()
_CURRENT: ContextVar[RunEnvironment] = ContextVar("run_environment", default=_NO_RUN)


def run_environment() -> RunEnvironment:
    """Return the environment of the run that this thread computes."""
    return _CURRENT.get()


class EnvironmentScope:
    """A block within which `run_environment` returns another environment, in this thread.

    Args:
        environment: the one of the block.
    """

    __slots__ = ("_environment", "_token")

    def __init__(self, environment: RunEnvironment) -> None:
        self._environment = environment
        self._token: Token[RunEnvironment] | None = None

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._environment)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _CURRENT.reset(self._token)


def use_environment(environment: RunEnvironment) -> EnvironmentScope:
    """Make `run_environment` return this one in this thread, within the block."""
    return EnvironmentScope(environment)


def plan_use(use: ModelUse) -> None:
    """Make room on the accelerator for models that are about to compute there.

    To be called before each call of the models, by who has the device's lane.

    Args:
        use: the models, and what they need.
    """
    models = _CURRENT.get().models
    if models is not None:
        models.plan(use)


def check_cancelled() -> None:
    """Raise if the run of this thread was cancelled; for work deep inside a node.

    Raises:
        RunCancelledError: it was cancelled.
    """
    _CURRENT.get().check_cancelled()
