"""The process that started this one, and what becomes of this one without it."""

import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the system kill this process as soon as its parent dies, where it can (Linux).

    The closed socket tells the same, but only to a thread that gets to run: a node may keep
    all of them from it.
    """
    if sys.platform != "linux":
        return
    import ctypes  # Here: it is only needed where there is such a call.

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
