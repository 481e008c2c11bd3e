"""What is logged, in which shape, and about which run."""

import json
import logging

from server.observability.logs import JsonFormatter, TextFormatter, about, receive


class Kept(logging.Handler):
    """Keeps what it gets, formatted."""

    def __init__(self, formatter):
        super().__init__()
        self.setFormatter(formatter)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


def logged(formatter, act, levels=None):
    """The lines that `act` logs."""
    handler, root = Kept(formatter), logging.getLogger()
    before = root.level
    receive(handler, levels or {})
    try:
        act()
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        for room in levels or {}:
            logging.getLogger(room).setLevel(logging.NOTSET)
    return handler.lines


def fail():
    try:
        int("no")
    except ValueError:
        logging.getLogger("server.here").exception("it failed")


def test_a_record_is_an_object_that_says_what_it_is_about():
    def act():
        with about(run="r1", worker="cpu"), about(node="4"):
            logging.getLogger("server.here").info("done in %d s\nand more", 3)
        logging.getLogger("server.here").info("nothing")

    first, second = map(json.loads, logged(JsonFormatter(), act))

    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "info",
        "room": "server.here",
        "message": "done in 3 s\nand more",
        "worker": "cpu",
        "run": "r1",
        "node": "4",
    }
    assert not {"run", "node", "worker"} & second.keys()


def test_an_exception_is_part_of_its_object():
    (line,) = logged(JsonFormatter(), fail)

    assert json.loads(line)["exception"].endswith("'no'")


def test_text_says_it_at_the_end_of_the_line():
    def act():
        with about(run="r1"):
            logging.getLogger("server.here").warning("careful")

    (line,) = logged(TextFormatter(), act)
    assert line.endswith("WARNING server.here: careful [run=r1]")


def test_each_room_has_its_level():
    def act():
        for room in ("server.store", "server.scheduling.event_bus", "nodes"):
            for say in (logging.getLogger(room).debug, logging.getLogger(room).warning):
                say("hello")

    lines = logged(JsonFormatter(), act, {"all": "warning", "server.store": "debug"})

    said = [(told["room"], told["level"]) for told in map(json.loads, lines)]
    assert [each for each in said if each[1] == "debug"] == [("server.store", "debug")]
    assert len(said) == 4
