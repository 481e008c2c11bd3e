"""What servers tell each other, in pieces that a notice of Postgres has room for."""

import random
from typing import Any

from server.fleet.notices import LARGEST, MOST_PIECES, Cutter, Joiner, live, read_live
from server.scheduling.event_bus import Message


def joined(notices):
    joiner = Joiner()
    return [message for notice in notices if (message := joiner.join(notice)) is not None]


def passing(who, text) -> dict[str, Any]:
    """A passing event of a run, as a server tells of it."""
    return {**live(Message("progress", "r", "c", "o", data={"text": text}), 7), "from": who}


def test_messages_of_all_sizes_come_whole_although_servers_speak_at_the_same_time():
    chance = random.Random(1)
    sizes = (0, 1, LARGEST - 12, LARGEST, 3 * LARGEST, 20_000)
    told = {who: [passing(who, "ä" * size) for size in sizes] for who in "abc"}
    lines = {}
    for who, messages in told.items():
        cutter = Cutter()
        lines[who] = [notice for message in messages for notice in cutter.cut(message)]
    longest = max(len(notice.encode()) for line in lines.values() for notice in line)
    mixed = []
    while any(lines.values()):
        mixed.append(lines[chance.choice([who for who, line in lines.items() if line])].pop(0))

    heard = joined(mixed)

    assert longest < 8000
    for who, messages in told.items():
        assert [message for message in heard if message["from"] == who] == messages


def test_who_begins_to_listen_in_the_middle_of_a_message_hears_the_next_one():
    cutter = Cutter()
    first, second = (cutter.cut(passing(who, 3 * LARGEST * "x")) for who in "xy")

    assert [message["from"] for message in joined([*first[1:], *second])] == ["y"]


def test_a_huge_message_is_not_sent():
    assert Cutter().cut({"text": "x" * LARGEST * MOST_PIECES}) == []


def test_a_preview_comes_as_it_was():
    picture = Message("preview", "r", "c", "o", data={"mime": "image/jpeg"}, payload=bytes(256))

    assert read_live(live(picture, 7)) == (picture, 7)


SAID = passing("a", "x")
SENT: dict[str, Any] = SAID["message"]
STRANGE: list[Any] = [
    {"op": "watch"},
    {"op": "watch", "run": 7},
    {"op": "stop", "run": "r"},
    {**SAID, "after": "x"},
    {**SAID, "message": {}},
    {**SAID, "message": {**SENT, "payload": "a"}},
    {**SAID, "message": {**SENT, "owner": None}},
    {**SAID, "message": {**SENT, "name": "run_finished"}},
    [],
    "text",
    None,
]


def test_what_no_server_sends_is_not_heard():
    words = ["", " ", "x", "a.1 1 0", "a.1 x 0 {}", "a.1 1 -1 {}", "a.1 1 0 {", "a.1 999999 0 {}"]
    words += ["a.1 1 0 " + "[" * 5000, "\0", "a.1 1 0 NaN"]
    strange = [notice for message in STRANGE for notice in Cutter().cut(message)]

    assert joined([*words, *strange]) == []
    assert joined(Cutter().cut(passing("a", "x")))
