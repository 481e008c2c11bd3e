"""Previews made beside a sampler: the newest latent is shown, and those before it are dropped.

On an accelerator a preview waits for the device, decodes, encodes a JPEG and sends it. The thread
that samples only hands the latent over, so that nobody who looks delays it.
"""

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

from torch import Tensor

from nodegraph.errors import NodeGraphError
from nodegraph.runtime.run_environment import run_environment, use_environment

_log = logging.getLogger(__name__)


class PreviewThread:
    """The previews of one run of a sampler; nothing is shown after the block.

    Args:
        render: makes an image of a latent; is called in a thread of its own.
        show: shows the image; not called any more once the block is left.
    """

    def __init__(
        self, render: Callable[[Tensor], tuple[bytes, str]], show: Callable[[bytes, str], None]
    ) -> None:
        self._render = render
        self._show = show
        self._changed = threading.Condition()
        self._showing = threading.Lock()
        self._newest: Tensor | None = None
        self._begun = self._over = False

    def __enter__(self) -> "PreviewThread":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._newest, self._over = None, True
            self._changed.notify_all()
        with self._showing:  # one that is being shown is the last
            pass

    def offer(self, x0: Tensor) -> None:
        """Have a latent shown, unless a newer one comes before its turn."""
        with self._changed:
            self._newest = x0
            self._changed.notify_all()
            if not self._begun:
                self._begun = True
                work = copy_context()
                threading.Thread(
                    target=work.run, args=(self._work,), name="previews", daemon=True
                ).start()

    def _work(self) -> None:
        # A run's uses of models are noted by its own thread alone.
        with use_environment(run_environment()._replace(models=None)):
            while (x0 := self._take()) is not None:
                try:
                    image, mime = self._render(x0)
                except (NodeGraphError, RuntimeError, MemoryError) as error:
                    _log.warning("there is no preview: %s", error)
                    continue
                with self._showing:
                    if not self._over:
                        self._show(image, mime)

    def _take(self) -> Tensor | None:
        """Wait for a latent; None once the block is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._newest is not None)
            x0, self._newest = self._newest, None
            return x0
