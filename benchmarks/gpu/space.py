"""The folder of the large files: in memory where it fits, so that no disk is measured."""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")


def add_space_options(parser: ArgumentParser) -> None:
    """Declare the options that all benchmarks of full-size models have."""
    parser.add_argument("--tiny", action="store_true", help="small models of the same families")
    parser.add_argument(
        "--models",
        type=Path,
        help="where files are written and stay; a folder in memory if not given",
    )
    parser.add_argument(
        "--keep", nargs="*", default=[], metavar="MODEL", help="files that are still needed"
    )


@contextmanager
def open_space(options: Namespace) -> Generator[Path]:
    """Yield the folder of models; it is removed afterwards unless an option names it."""
    if options.models is not None:
        options.models.mkdir(parents=True, exist_ok=True)
        yield options.models
        return
    place = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place, prefix="nodegraph-benchmarks-") as folder:
        yield Path(folder)
