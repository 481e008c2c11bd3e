"""An opened checkpoint: its architecture, and its networks, loaded when they are first used."""

import threading
from functools import cached_property
from pathlib import Path
from weakref import WeakValueDictionary

from nodes.errors import MissingPartError
from nodes.families.family import Architecture, TextRules
from nodes.families.known import architecture_of
from nodes.parameterisation import Discrete, Parameterisation
from nodes.text.tokenizer import ClipTokenizer
from nodes.values import LatentFormat
from nodes.weights.header import Header, read_header
from nodes.weights.network import Network


class Checkpoint:
    """One file with up to three networks in it; equal to another by its content."""

    def __init__(self, header: Header, identity: str) -> None:
        self.header = header
        self.identity = identity
        self.architecture: Architecture = architecture_of(header)
        parts = {
            "U-Net": self.architecture.unet,
            "VAE": self.architecture.vae,
            "text encoder": self.architecture.text,
        }
        self._networks = {
            title: Network(header, identity, spec, title) for title, spec in parts.items() if spec
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and other.identity == self.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @property
    def unet(self) -> Network:
        """The denoising network."""
        return self._network("U-Net")

    @property
    def vae(self) -> Network:
        """The autoencoder.

        Raises:
            MissingPartError: the file has none.
        """
        return self._network("VAE")

    @property
    def text(self) -> Network:
        """The text encoder.

        Raises:
            MissingPartError: the file has none.
        """
        return self._network("text encoder")

    @cached_property
    def text_rules(self) -> TextRules:
        """How its text encoder is used.

        Raises:
            MissingPartError: the file has none.
        """
        rules = self.architecture.text_rules
        if rules is None:
            raise MissingPartError(self.header.path, "text encoder")
        return rules

    @cached_property
    def tokenizer(self) -> ClipTokenizer:
        """What turns text into its text encoder's tokens."""
        rules = self.text_rules
        if rules.vocabulary and rules.merges:
            return ClipTokenizer.from_texts(rules.vocabulary, rules.merges)
        return ClipTokenizer.clip()

    @cached_property
    def parameterisation(self) -> Parameterisation:
        """How it was trained to remove noise."""
        return Discrete.scaled_linear(self.architecture.prediction)

    @cached_property
    def latent_format(self) -> LatentFormat:
        """How its latents relate to the VAE's."""
        latent = self.architecture.latent
        return LatentFormat(latent.channels, latent.downscale, latent.scale, latent.shift)

    def _network(self, title: str) -> Network:
        if title not in self._networks:
            raise MissingPartError(self.header.path, title)
        return self._networks[title]


class OpenFiles:
    """The checkpoints that some handle still refers to: the same content is opened once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: WeakValueDictionary[str, Checkpoint] = WeakValueDictionary()

    def checkpoint(self, path: Path, identity: str) -> Checkpoint:
        """The checkpoint of that content.

        Args:
            path: where it lies.
            identity: the file's sha256.
        """
        with self._lock:
            found = self._open.get(identity)
            if found is None:
                found = Checkpoint(read_header(path), identity)
                self._open[identity] = found
            return found


_OPEN_FILES = OpenFiles()


def open_files() -> OpenFiles:
    """This process's opened checkpoints: the one thing here that all runs share."""
    return _OPEN_FILES
