"""Load, sampling, decode and write of runs that follow each other: what goes on beside what.

A real server with a real worker; its nodes sleep as long as a device, a link and a disk would take,
so that the picture is the same on any machine, however busy: each run reads its own checkpoint
(bytes over the speed of a link), samples (20 steps), decodes and writes its image. Sampling and
decoding hold the device's lane, as real networks do. Figures are the seconds from the first to the
last part beside the sum of all parts, and the share of them in which the device computes, for one
slot and for two.
"""

import json
import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from benchmarks.report import Report
from tests.nodegraph import install_pack
from tests.server.serving import serving

LINK = 10e9
"""Bytes a second from the disk to the device."""
CHECKPOINT = 5e9
STEPS, STEP = 20, 0.06
DECODE, WRITE = 0.2, 0.4
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
LANES = ("load", "sample", "decode", "write")

NODES = f"""
import json
import os
import threading
import time
from typing import Annotated

from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import Socket
from nodegraph.runtime.device_lane import lane_of, turn_of

Weights = Annotated[int, Socket("WEIGHTS")]
Pixels = Annotated[int, Socket("PIXELS")]


def work(stage, run, seconds):
    begin = time.time()
    time.sleep(seconds)
    line = json.dumps([stage, run, begin, time.time()])
    with open(os.environ["OVERLAP_LOG"], "a") as log:
        log.write(line + "\\n")


@node("OverlapLoad", category="test", cache="never")
def load(run: int) -> Weights:
    with lane_of("benchmark link"):
        work("load", run, {CHECKPOINT / LINK})
    return run


@node("OverlapSample", category="test", cache="never")
def sample(weights: Weights) -> Pixels:
    with turn_of("benchmark:0"):
        for _ in range({STEPS}):
            with lane_of("benchmark:0"):
                work("sample", weights, {STEP})
    return weights


@node("OverlapDecode", category="test", cache="never")
def decode(pixels: Pixels) -> Pixels:
    with lane_of("benchmark:0"):
        work("decode", pixels, {DECODE})
    return pixels


@node("OverlapWrite", category="test", cache="never", output_node=True, writes_only=True)
def write(pixels: Pixels, context: Context) -> Ui:
    work("write", pixels, {WRITE})
    return Ui(artifacts={{"images": [context.files.save("output", "overlap", ".png", b"pixels")]}})
"""


class Part(NamedTuple):
    """One part of a run, in seconds from the first of all."""

    stage: str
    run: int
    begin: float
    end: float


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--runs", type=int, default=6, help="that follow each other")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2], help="of the worker")


def measure(options: Namespace, report: Report) -> None:
    """Measure, draw, and report each figure when it is known."""
    one_run = CHECKPOINT / LINK + STEPS * STEP + DECODE + WRITE
    report.add("sum of all parts", options.runs * one_run, "s")
    rows: list[tuple[str, Sequence[Part]]] = []
    for slots in options.slots:
        parts = timeline(options.runs, slots)
        seconds = report.add(f"{slots} slots: first to last", max(p.end for p in parts), "s")
        busy = sum(p.end - p.begin for p in parts if p.stage in ("sample", "decode")) / seconds
        report.add(f"{slots} slots: share in which the device computes", busy, "x")
        rows.append((f"{slots} slots: {seconds:.2f} s; the device computes {busy:.0%}", parts))
    report.path.with_suffix(".svg").write_text(drawing(rows))


def timeline(runs: int, slots: int) -> list[Part]:
    """Let a server compute the runs; returns the parts, in the order of their ends."""
    with tempfile.TemporaryDirectory() as folder:
        home, packs = Path(folder), Path(folder, "packs")
        init = "from nodegraph.definition.pack import Pack\n"
        init += "PACK = Pack('overlap', '1.0', ('overlap_pack.stages',))\n"
        cast("Any", install_pack).install(packs, "overlap", init=init, stages=NODES)
        log = home / "log.jsonl"
        path = os.pathsep.join(filter(None, [str(packs), os.environ.get("PYTHONPATH", "")]))
        variables = {**os.environ, "PYTHONPATH": path, "OVERLAP_LOG": str(log)}
        with serving(home, ["--slots", str(slots)], variables) as server:
            for name in [server.submit(prompt(number)) for number in range(runs)]:
                ended = server.finished(name)
                assert ended["status"]["status_str"] == "success", ended
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    start = min(begin for _, _, begin, _ in lines)
    return [Part(stage, run, begin - start, end - start) for stage, run, begin, end in lines]


def prompt(number: int) -> dict[str, object]:
    """Return one run, in ComfyUI's dialect."""
    return {
        "1": {"class_type": "OverlapLoad", "inputs": {"run": number}},
        "2": {"class_type": "OverlapSample", "inputs": {"weights": ["1", 0]}},
        "3": {"class_type": "OverlapDecode", "inputs": {"pixels": ["2", 0]}},
        "4": {"class_type": "OverlapWrite", "inputs": {"pixels": ["3", 0]}},
    }


def drawing(rows: Sequence[tuple[str, Sequence[Part]]]) -> str:
    """Return the timelines as SVG, one below the other: a line a stage, a colour a run."""
    longest = max(part.end for _, parts in rows for part in parts)
    left, scale, line, gap = 70, 900 / longest, 22, 46
    height = len(rows) * (len(LANES) * line + gap) + 20
    shapes = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="{height}"'
            ' font-family="sans-serif" font-size="12">'
        ),
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (title, parts) in enumerate(rows):
        top = number * (len(LANES) * line + gap) + 30
        shapes.append(f'<text x="{left}" y="{top - 8}" font-weight="bold">{title}</text>')
        for place, lane in enumerate(LANES):
            y = top + place * line
            shapes.append(f'<text x="8" y="{y + 14}">{lane}</text>')
            shapes.append(
                f'<line x1="{left}" x2="980" y1="{y + line - 2}" y2="{y + line - 2}"'
                ' stroke="#dddddd"/>'
            )
            for part in parts:
                if part.stage == lane:
                    width = max(1.0, (part.end - part.begin) * scale)
                    colour = COLOURS[part.run % len(COLOURS)]
                    shapes.append(
                        f'<rect x="{left + part.begin * scale:.1f}" y="{y}" height="{line - 5}"'
                        f' width="{width:.1f}" fill="{colour}"/>'
                    )
        for second in range(int(longest) + 1):
            x = left + second * scale
            y = top + len(LANES) * line + 10
            shapes.append(f'<text x="{x:.0f}" y="{y}" fill="#777777">{second} s</text>')
    return "\n".join([*shapes, "</svg>", ""])
