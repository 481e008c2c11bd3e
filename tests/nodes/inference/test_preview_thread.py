"""Previews beside a sampler: it never waits for them, and the newest is shown."""

import threading
import time

import pytest
import torch

from nodes.inference.preview_thread import PreviewThread

MIME = "image/jpeg"


class Painter:
    """Renders a latent as its number, once it may; notes what was asked for and shown."""

    def __init__(self):
        self.may = threading.Event()
        self.asked: list[int] = []
        self.shown: list[bytes] = []

    def render(self, x0):
        self.asked.append(int(x0))
        assert self.may.wait(20)
        return b"%d" % int(x0), MIME

    def show(self, image, mime):
        self.shown.append(image)


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_blocked_preview_delays_nobody_and_the_newest_latent_is_shown_after_it():
    painter = Painter()

    with PreviewThread(painter.render, painter.show) as previews:
        previews.offer(torch.tensor(0))
        until(lambda: painter.asked == [0])
        for step in range(1, 20):
            previews.offer(torch.tensor(step))
        assert painter.shown == []
        painter.may.set()
        until(lambda: len(painter.shown) == 2)

    assert painter.shown == [b"0", b"19"]


def test_nothing_is_shown_once_the_sampler_is_over():
    painter = Painter()

    with PreviewThread(painter.render, painter.show) as previews:
        previews.offer(torch.tensor(0))
        until(lambda: painter.asked == [0])
    painter.may.set()
    until(lambda: not any(each.name == "previews" for each in threading.enumerate()))

    assert painter.shown == []


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_preview_that_can_not_be_made_is_left_out(error, caplog):
    shown = []

    def render(x0):
        if not x0:
            raise error
        return b"picture", MIME

    with PreviewThread(render, lambda image, _: shown.append(image)) as previews:
        previews.offer(torch.tensor(0))
        until(lambda: caplog.records)
        previews.offer(torch.tensor(1))
        until(lambda: shown)

    assert shown == [b"picture"]
    assert "no preview" in caplog.text
