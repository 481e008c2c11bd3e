"""Ends this process when its parent process dies."""

import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the system kill this process as soon as its parent dies; only on Linux.

    The closed socket would end the process too, but only once a thread can read it, which a
    node may prevent.
    """
    if sys.platform != "linux":
        return
    import ctypes  # imported here because only Linux needs it

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
