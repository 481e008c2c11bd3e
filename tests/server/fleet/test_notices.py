"""What servers tell each other, in pieces that a notice of Postgres has room for."""

import random

from server.fleet.notices import LARGEST, MOST_PIECES, Cutter, Joiner, live, read_live
from server.scheduling.event_bus import Message


def joined(notices):
    joiner = Joiner()
    return [message for notice in notices if (message := joiner.join(notice)) is not None]


def test_messages_of_all_sizes_come_whole_although_servers_speak_at_the_same_time():
    chance = random.Random(1)
    sizes = (0, 1, LARGEST - 12, LARGEST, 3 * LARGEST, 20_000)
    told = {
        who: [{"op": "live", "from": who, "text": "ä" * size} for size in sizes] for who in "abc"
    }
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
    first, second = (cutter.cut({"text": text * 3 * LARGEST}) for text in "xy")

    assert [message["text"][0] for message in joined([*first[1:], *second])] == ["y"]


def test_a_huge_message_is_not_sent():
    assert Cutter().cut({"text": "x" * LARGEST * MOST_PIECES}) == []


def test_a_preview_comes_as_it_was():
    picture = Message("preview", "r", "c", "o", data={"mime": "image/jpeg"}, payload=bytes(256))

    assert read_live(live(picture, 7)) == (picture, 7)
