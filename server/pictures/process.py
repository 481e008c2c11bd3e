"""The connection to the decoding process, which is started when needed and restarted if it dies."""

import asyncio
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from server.errors import UnreadablePictureError
from server.workers.process import signal_of, wait_for_exit
from server.workers.wire import BrokenWireError, Frame, FrameReader, pack

_PATIENCE = 20.0
"""Seconds that one request may take."""
_GRACE = 0.2
"""Seconds that the process has to exit after its socket is closed."""
_SLOW = "decoding it took too long"


class Pictures:
    """Sends requests to the decoding process, one at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def preview(self, path: Path, form: str, quality: int, channel: str) -> bytes:
        """Return an image as WebP or JPEG; see `server.pictures.drawing.preview`.

        Raises:
            UnreadablePictureError: the image cannot be decoded.
        """
        facts = {"format": form, "quality": quality, "channel": channel}
        return await self._ask({"op": "preview", "path": str(path), **facts})

    async def channel(self, path: Path, channel: str) -> bytes:
        """Return some channels of an image as PNG; raises what `preview` raises."""
        return await self._ask({"op": "channel", "path": str(path), "channel": channel})

    async def apply_mask(self, path: Path, mask: Path) -> bytes:
        """Return an image with the alpha of a mask as PNG; raises what `preview` raises."""
        return await self._ask({"op": "mask", "path": str(path), "mask": str(mask)})

    async def close(self) -> int:
        """End the process and return its exit code."""
        code = 0
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            code = await wait_for_exit(self._process, _GRACE)
        self._process = self._reader = self._writer = None
        return code

    async def _ask(self, body: Mapping[str, Any]) -> bytes:
        async with self._turn:
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await self._answer(body)
            except TimeoutError as error:
                await self.close()
                raise UnreadablePictureError(_SLOW) from error
            except asyncio.CancelledError:  # the answer would be taken for the next request's
                await self.close()
                raise
            if answer is None:
                raise UnreadablePictureError(_describe_exit(await self.close()))
        if "error" in answer.body:
            raise UnreadablePictureError(answer.body["error"])
        return answer.data

    async def _answer(self, body: Mapping[str, Any]) -> Frame | None:
        reader, writer = await self._connect()
        with suppress(ConnectionError, BrokenWireError):
            writer.write(pack(Frame(body)))
            await writer.drain()
            return await FrameReader(reader).next()  # it sends one at a time
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.pid is not None and self._reader and self._writer:
            return self._reader, self._writer
        await self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "server.pictures", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        return self._reader, self._writer


def _describe_exit(code: int) -> str:
    reason = signal_of(code) or f"code {code}"
    return f"decoding it crashed the decoding process ({reason})"
