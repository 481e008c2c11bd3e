"""The files that a ComfyUI server made: fetched, checked, and stored under our reserved names."""

import asyncio
import re
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from nodegraph.files.file_names import FileSeries, NumberedFile
from nodegraph.files.files import Files
from nodegraph.files.users.user_files import artifact_of
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.graph.results import Artifact
from server.workers.comfyui.connection import ComfyConnection, UnwellError
from server.workers.comfyui.errors import ComfyAnswerError, ComfyFileError

MOST_BYTES = 4 * 2**30
"""The most bytes of one file."""
MOST_FILES = 10_000
"""The most files of one run."""
_IN_MEMORY = 32 * 2**20
_CHUNK = 2**20
_DEEPEST = 8
_LONGEST = 100
"""The most bytes of a part of a path."""
_NUMBER = re.compile(r"_\d{1,12}_?$")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}", re.ASCII)
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff]')
_UNNAMED = "output"
_FOLDERS = ("output", "temp", "input")
_PRIVATE = ("fullpath", "abs_path")
"""Facts about a file that say where it lies on the server's machine."""
_SIGNATURES: Mapping[str, tuple[bytes, ...]] = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".webp": (b"RIFF",),
    ".webm": (b"\x1aE\xdf\xa3",),
    ".flac": (b"fLaC",),
}
"""The beginnings of files that browsers may display."""

Namer = Callable[[Mapping[str, Any]], Awaitable[NumberedFile | None]]
"""Answers a question about the number of a file; see `server.workers.process_worker`."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A claim on the number of one file, made from a thread beside the event loop."""

    namer: Namer
    loop: AbstractEventLoop
    file: Mapping[str, Any]

    def claim(self, place: FileSeries, first: int) -> NumberedFile:
        """Return the file's name: its earlier one, or one with a number from `first` on."""
        parts = {"place": [str(place.folder), place.stem, place.suffix], "first": first}
        named = self._ask({"op": "name", **self.file, **parts})
        assert named is not None
        return named

    def release(self) -> None:
        """Give the number back, because another file has it."""
        self._ask({"op": "taken", **self.file})

    def _ask(self, body: Mapping[str, Any]) -> NumberedFile | None:
        async def answer() -> NumberedFile | None:
            return await self.namer(body)

        return asyncio.run_coroutine_threadsafe(answer(), self.loop).result()


class OutputFiles:
    """Takes over the files of one attempt at a run.

    Args:
        run: the run's id.
        files: the folders of its owner.
        namer: reserves the names of saved files; an attempt that follows gets the same.
        connection: to the server.
    """

    def __init__(self, run: str, files: Files, namer: Namer, connection: ComfyConnection) -> None:
        self._run = run
        self._files = files
        self._namer = namer
        self._connection = connection
        self._positions: Counter[str] = Counter()
        self._count = 0

    async def take(self, node: str, output: Mapping[str, Any]) -> dict[str, list[object]]:
        """Store the files of a node's output and return the output with our names for them.

        Raises:
            ComfyFileError: a file is too large, or not of the kind that its name says.
            ComfyAnswerError: the server does not hand a file out.
            DiskFullError: the disk is full.
            OutputFolderError: the folder can not be written.
            ClientError: the server is gone.
        """
        found: dict[str, list[object]] = {}
        for kind, items in output.items():
            found[kind] = []
            for item in items if is_list(items) else [items]:
                if not _is_file(item):
                    found[kind].append(item)
                elif (stored := await self._store(node, item)) is not None:
                    found[kind].append(stored)
        return found

    async def _store(self, node: str, item: object) -> object:
        """Store a file; return what the node said of it, with our name.

        Return None for a temporary one that the server does not hand out.
        """
        facts = item if is_object(item) else {}
        name, folder = str(facts["filename"]), str(facts.get("subfolder") or "")
        kind = str(facts.get("type") or "output")
        self._count += 1
        if self._count > MOST_FILES:
            problem = f"is one of more than {MOST_FILES} of the run"
            raise ComfyFileError(self._connection.name, name, problem)
        where = {"filename": name, "subfolder": folder, "type": kind}
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            try:
                is_whole = await self._connection.download(where, file, MOST_BYTES)
            except (ComfyAnswerError, UnwellError):
                if kind == "output":
                    raise
                return None
            if not is_whole:
                problem = f"has more than {MOST_BYTES >> 30} GiB"
                raise ComfyFileError(self._connection.name, name, problem)
            self._check(name, file)
            stored = await self._write(node, kind, _prefix(folder, name), _suffix(name), file)
        kept = {key: value for key, value in facts.items() if key not in _PRIVATE}
        return {**kept, **stored.as_dict()}

    def _check(self, name: str, file: IO[bytes]) -> None:
        """Check that a file which browsers may display begins as its kind does."""
        file.seek(0)
        signatures = _SIGNATURES.get(_suffix(name).lower())
        if signatures and not file.read(16).startswith(signatures):
            raise ComfyFileError(self._connection.name, name, "is not what its name says")

    async def _write(
        self, node: str, kind: str, prefix: str, suffix: str, file: IO[bytes]
    ) -> Artifact:
        """Write a file to the output folder, or, if the server has it elsewhere, to temp."""
        last = self._files.last_numbers
        if kind != "output":
            save = self._files.users.folder("temp").save_temporary
            name = await asyncio.to_thread(save, prefix, suffix, _chunks(file), last)
            return artifact_of(name, "temp")
        position = self._positions[node]
        self._positions[node] += 1
        slot = {"run": self._run, "node": node, "position": position}
        claim = _Claim(self._namer, asyncio.get_running_loop(), slot)
        save = self._files.users.folder("output").save
        name = await asyncio.to_thread(save, prefix, suffix, _chunks(file), last, claim)
        return artifact_of(name, "output")


def _is_file(item: object) -> bool:
    return (
        is_object(item)
        and isinstance(item.get("filename"), str)
        and item.get("type", "output") in _FOLDERS
    )


def _prefix(folder: str, name: str) -> str:
    """Return the start of our name for a file: its own, without the number, and its folders'."""
    parts = [part for part in folder.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    stem = _NUMBER.sub("", name.removesuffix(_suffix(name, given=True)))
    return "/".join(map(_safe, (*parts[:_DEEPEST], stem)))


def _suffix(name: str, *, given: bool = False) -> str:
    """Return the ending of a file's name, or one that says nothing; or the one that is given."""
    dot = name.rfind(".")
    ending = name[dot:] if dot > 0 else ""
    return ending if given or _SUFFIX.fullmatch(ending) else ".bin"


def _safe(part: str) -> str:
    """Return a part of a path that stays one, and is not hidden."""
    clean = _UNSAFE.sub("_", part).strip(". ").encode()[:_LONGEST]
    return clean.decode(errors="ignore") or _UNNAMED


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk
