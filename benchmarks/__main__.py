"""The command `python -m benchmarks NAME`: runs a benchmark, prints and keeps its figures."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from benchmarks.catalog import PLACES, benchmark, description, summary
from benchmarks.report import RESULTS, Report


def main(arguments: list[str]) -> None:
    """Run the benchmark that the first argument names with the options that follow it."""
    parser = ArgumentParser(prog="python -m benchmarks", description="Run a benchmark.")
    parser.add_argument("--list", action="store_true", help="print the names of all")
    parser.add_argument("name", nargs="?", choices=list(PLACES), help="of the benchmark")
    first = parser.parse_args(arguments[:1])
    if first.name is None:
        for name in PLACES:
            print(f"{name:18} {summary(name)}")
        return
    own = ArgumentParser(
        prog=f"python -m benchmarks {first.name}",
        description=description(first.name),
        formatter_class=RawDescriptionHelpFormatter,
    )
    own.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    own.add_argument("--note", default="", help="a remark that is kept with the figures")
    found = benchmark(first.name)
    found.add_options(own)
    options = own.parse_args(arguments[1:])
    report = Report(first.name, options)
    found.measure(options, report)
    print(f"written to {report.path}")


if __name__ == "__main__":
    main(sys.argv[1:])
