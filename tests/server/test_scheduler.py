"""Which run comes next, and who gets it."""

from server.scheduler import Assignment, Slot, Waiting, order, pick


def waiting(name, client="a", priority=0, number=None, seq=None, suspect=False):
    place = int(name[1:])
    return Waiting(
        id=name,
        client=client,
        priority=priority,
        number=place if number is None else number,
        seq=place if seq is None else seq,
        suspect=suspect,
    )


def ids(runs):
    return [run.id for run in runs]


def test_a_client_s_runs_come_by_number_then_as_they_were_accepted():
    queue = [waiting("r2"), waiting("r1"), waiting("r4", number=-4), waiting("r3", number=1)]

    assert ids(order(queue, {})) == ["r4", "r1", "r3", "r2"]


def test_higher_priorities_come_first_whoever_asks():
    queue = [waiting("r1"), waiting("r2", client="b", priority=5), waiting("r3", priority=1)]

    assert ids(order(queue, {"b": 99})) == ["r2", "r3", "r1"]


def test_clients_take_turns():
    queue = [waiting(f"r{n}") for n in range(1, 5)] + [waiting("r9", client="b")]

    assert ids(order(queue, {})) == ["r1", "r9", "r2", "r3", "r4"]


def test_who_was_served_longest_ago_is_next():
    queue = [waiting("r1"), waiting("r2", client="b"), waiting("r3", client="c")]

    assert ids(order(queue, {"a": 3, "b": 2})) == ["r3", "r2", "r1"]


def test_a_client_that_floods_the_queue_delays_others_by_one_run_each():
    flood = [waiting(f"r{n}", client="flood") for n in range(1000)]
    queue, served, done = [*flood, waiting("r5000", client="late")], {}, []
    for turn in range(3):
        run = order(queue, served)[0]
        queue.remove(run)
        served[run.client] = turn + 1
        done.append(run.id)

    assert "r5000" in done[:2]


def test_the_least_busy_worker_gets_the_run():
    slots = [Slot("x", free=1, busy=2), Slot("y", free=2, busy=1)]

    assert pick([waiting("r1")], slots) == Assignment("r1", "y")


def test_nothing_is_picked_without_a_run_or_a_free_worker():
    assert pick([], [Slot("x", free=1, busy=0)]) is None
    assert pick([waiting("r1")], [Slot("x", free=0, busy=1)]) is None


def test_a_suspect_gets_a_worker_for_itself():
    busy, idle = Slot("x", free=1, busy=1), Slot("y", free=2, busy=0)

    assert pick([waiting("r1", suspect=True)], [busy]) is None
    assert pick([waiting("r1", suspect=True)], [busy, idle]) == Assignment("r1", "y")


def test_nothing_joins_a_suspect():
    slots = [Slot("x", free=3, busy=1, alone=True)]

    assert pick([waiting("r1")], slots) is None


def test_a_waiting_suspect_holds_one_worker_back_until_it_is_idle():
    queue = [waiting("r1", suspect=True), waiting("r2")]

    assert pick(queue, [Slot("x", free=1, busy=1)]) is None
    two = [Slot("x", free=1, busy=1), Slot("y", free=1, busy=2)]
    assert pick(queue, two) == Assignment("r2", "y")
