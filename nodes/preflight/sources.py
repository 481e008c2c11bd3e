"""Where model files come from: the hub, and pickles that are converted once.

Entry point `models` of the group `nodegraph.sources`; needs no torch until it converts.
"""

from pathlib import Path

from nodegraph.files.sources import ModelSummary, SourceOptions, Watch
from nodes.models.hub.resolver import Hub
from nodes.models.weights.header import is_pickle


class ModelSources(Hub):
    """Gets model files; see `nodegraph.files.sources.Sources`."""

    def __init__(self, options: SourceOptions) -> None:
        super().__init__(options)
        self._converted = options.converted_dir
        self._allow_pickle = options.allow_pickle
        self._identity = options.identity

    def loadable(self, path: Path, watch: Watch | None) -> Path | None:
        """Return the file itself, or the safetensors file made of a pickle that is allowed.

        Raises:
            UnsafePickleError: it asks for more than tensors.
        """
        if not self._allow_pickle or not is_pickle(path):
            return path
        target = self._converted / self._identity(path) / f"{path.stem}.safetensors"
        if watch is None:
            return target if target.is_file() else None
        watch.notice(f"{path.name} is a pickle: its tensors are read, and nothing in it is run.")
        if not target.is_file():
            from nodes.models.weights.pickles import convert

            convert(path, target)
        return target

    def summarize(self, path: Path) -> ModelSummary:
        """Return the family, dtypes and number of parameters of a weights file or folder."""
        from nodes.preflight.model_summary import summarize  # the families, which few commands need

        return summarize(path)


def open_sources(options: SourceOptions) -> ModelSources:
    """Return the model sources that the settings ask for."""
    return ModelSources(options)
