"""Textual inversion: files of vectors that stand for a word (Gal et al., arXiv:2208.01618)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodes.models.weights.header import read_header
from nodes.models.weights.reader import open_tensors

MARK = "embedding:"
_MARKED = re.compile(rf"(?:^|\s|(?<=,)){MARK}")
_ONLY_KEYS = ("emb_params", "clip_l", "clip_g", "t5xxl")
_RANKS = (1, 2)
"""The numbers of dimensions that an embedding's tensor may have."""
_MOST_TENSORS = 8
"""A file with more tensors is no embedding, unless one has an embedding's key."""

Notice = Callable[[str], None]


class Embeddings:
    """Finds embeddings for one text encoder; one that can't be used is left out, with a notice."""

    def __init__(
        self,
        files: Files | None,
        notice: Notice,
        encoder: str = "clip_l",
        reported: set[str] | None = None,
    ) -> None:
        """Keep where to look; nothing is read yet.

        Args:
            files: the model folders; None if there are none.
            notice: called with the reason why an embedding can't be used.
            encoder: the text encoder that the vectors are for.
            reported: the messages that `notice` got already; it gets none twice.
        """
        self._files = files
        self._notice = notice
        self._encoder = encoder
        self._reported = set[str]() if reported is None else reported

    def for_encoder(self, encoder: str) -> "Embeddings":
        """Return the same embeddings for another text encoder."""
        return Embeddings(self._files, self._notice, encoder, self._reported)

    def find(self, name: str, width: int) -> Tensor | None:
        """Return the vectors of an embedding: [vectors, width] float32, or None with a notice."""
        path = self._path(name)
        if path is None:
            self.report(f"No embedding {name!r} in models/embeddings: it is ignored.")
            return None
        try:
            vectors = _read(path, self._encoder)
        except NodeGraphError as error:
            self.report(f"Embedding {name!r} is ignored: {error}")
            return None
        if vectors is None or vectors.shape[1] != width:
            other = f"is for another text encoder than {self._encoder}, which ignores it"
            self.report(f"Embedding {name!r} {other}.")
            return None
        return vectors

    def name_in(self, word: str) -> str:
        """Return the name that a word begins with: all if a file has it, else up to a comma."""
        return word if self._path(word) is not None else word.partition(",")[0]

    def report(self, message: str) -> None:
        """Give the workflow's author a notice, unless it was given before."""
        if message not in self._reported:
            self._reported.add(message)
            self._notice(message)

    def _path(self, name: str) -> Path | None:
        return _find(self._files, name) if self._files else None


def embedding_hashes(
    *inputs: str,
) -> Callable[[Mapping[str, object], Files], str]:
    """Return a node's outside state: the hashes of the embeddings that its texts name.

    A text that comes along a link may name any embedding: then the state has the hashes of all.
    """

    def state(arguments: Mapping[str, object], files: Files) -> str:
        texts = [arguments.get(name) for name in inputs]
        written = [text.replace("\\", "/") for text in texts if isinstance(text, str)]
        linked, marked = len(written) < len(texts), [t for t in written if MARK in t]
        if not linked and not marked:
            return ""
        names = files.model_names("embeddings")
        if not linked:
            stems = ((name, name.rpartition(".")[0]) for name in names)
            names = [name for name, stem in stems if any(stem in text for text in marked)]
        return " ".join(f"{name} {_identity(files, name)}" for name in names)

    return state


def _identity(files: Files, name: str) -> str:
    return files.identity(files.models.source("embeddings", name))


def _find(files: Files, name: str) -> Path | None:
    known = files.model_names("embeddings")
    name = name.replace("\\", "/")  # as Windows parts folders
    wanted = (name, f"{name}.safetensors", f"{name}.pt", f"{name}.bin")
    found = next((option for option in wanted if name and option in known), None)
    return files.model("embeddings", found) if found else None


def split_embeddings(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a text at its embeddings: the text before the first, and each name with the text after.

    A name ends at a blank; what ends at a comma in it is for the caller to tell.
    """
    first, *marked = _MARKED.split(text)
    named = [part.strip().partition(" ") for part in marked]
    return first, [(name, rest) for name, _, rest in named]


def _read(path: Path, encoder: str) -> Tensor | None:
    """Return the vectors for one text encoder, or None if the file has none for it."""
    header = read_header(path)
    others = (key for key in header.tensors if key not in _ONLY_KEYS)
    few = len(header.tensors) <= _MOST_TENSORS
    keys = [encoder, "emb_params", *(others if few else ())]
    chosen = next((k for k in keys if k in header and len(header.shape(k)) in _RANKS), None)
    if chosen is None:
        return None
    with open_tensors(path) as file:
        vectors = file.get_tensor(chosen)
    return vectors.reshape(-1, vectors.shape[-1]).float()
