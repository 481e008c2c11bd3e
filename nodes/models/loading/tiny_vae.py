"""Open TAESD autoencoders, or the decoder alone."""

from nodegraph.files.files import Files
from nodes.models.families.base.tiny_vae import FOLDER, joined, read_tiny_vae
from nodes.models.loading.autoencoder import Autoencoder
from nodes.models.loading.checkpoint import networks
from nodes.models.weights.header import Header, read_header


def open_pair(name: str, files: Files) -> Autoencoder:
    """The one whose two files, `NAME_encoder` and `NAME_decoder`, lie in `vae_approx`.

    Raises:
        UnknownFileError: they do not.
        NotAVaeError: they hold something else.
        MissingWeightsError: they are incomplete.
    """
    encoder, decoder = map(read_header, files.model_pair(FOLDER, name))
    return _opened(name, joined(encoder, decoder), files.pair_content(FOLDER, name))


def open_decoder(name: str, files: Files) -> Autoencoder:
    """Its decoder alone.

    Raises:
        UnknownFileError: it is not there.
        NotAVaeError: its file holds something else.
        MissingWeightsError: it is incomplete.
    """
    path = files.model(FOLDER, files.model_called(FOLDER, f"{name}_decoder"))
    return _opened(name, joined(None, read_header(path)), files.identity(path))


def _opened(name: str, header: Header, content: str) -> Autoencoder:
    spec = read_tiny_vae(header, name)
    return Autoencoder(header.path, networks().network(header, content, spec.network), spec)
