"""Open TAESD autoencoders, or the decoder alone."""

from nodegraph.files.files import Files
from nodegraph.runtime.model_pool import ModelPool
from nodes.models.families.base.vaes.tiny_vae import FOLDER, join_halves, read_tiny_vae
from nodes.models.loading.autoencoder import Autoencoder
from nodes.models.loading.checkpoint import open_network
from nodes.models.weights.header import Header, read_header


def open_pair(name: str, files: Files, models: ModelPool) -> Autoencoder:
    """Open the two files, `NAME_encoder` and `NAME_decoder`, in the folder `vae_approx`.

    Raises:
        UnknownFileError: one is not there.
        UnrecognisedFileError: they hold something else.
        MissingWeightsError: they are incomplete.
    """
    encoder, decoder = map(read_header, files.models.pair(FOLDER, name))
    return _open(
        name, join_halves(encoder, decoder), files.models.pair_content(FOLDER, name), models
    )


def open_decoder(name: str, files: Files, models: ModelPool) -> Autoencoder:
    """Open the decoder alone, the file `NAME_decoder`.

    Raises:
        UnknownFileError: it is not there.
        UnrecognisedFileError: its file holds something else.
        MissingWeightsError: it is incomplete.
    """
    path = files.model(FOLDER, files.models.find_stem(FOLDER, f"{name}_decoder"))
    return _open(name, join_halves(None, read_header(path)), files.identity(path), models)


def _open(name: str, header: Header, content: str, models: ModelPool) -> Autoencoder:
    spec = read_tiny_vae(header, name)
    network = open_network(models, header, content, spec.network)
    return Autoencoder(header.path, network, spec)
