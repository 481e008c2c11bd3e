"""Which run comes next, and who gets it."""

import random
from dataclasses import replace
from statistics import quantiles

import pytest

from benchmarks.cpu.placement import Fleet, policies, waits
from server.scheduling.estimates import Estimates
from server.scheduling.fair_queue import FairQueue
from server.scheduling.scheduler import Assignment, Outlook, Slot, Waiting, pick


def waiting(name, client="a", priority=0, number=None, suspect=False, *, owner="", servers=()):
    place = int(name[1:])
    return Waiting(
        id=name,
        client=client,
        priority=priority,
        number=place if number is None else number,
        seq=place,
        suspect=suspect,
        owner=owner,
        servers=servers,
    )


def fair_queue(runs, served=()):
    """The queue of these, after some clients had their turns in this order."""
    found = FairQueue()
    for turn, client in enumerate(served):
        found.add(waiting(f"r{9000 + turn}", client=client))
        found.serve(f"r{9000 + turn}")
    for run in runs:
        found.add(run)
    return found


def ids(runs):
    return [run.id for run in runs]


def test_a_client_s_runs_come_by_number_then_as_they_were_accepted():
    queue = [waiting("r2"), waiting("r1"), waiting("r4", number=-4), waiting("r3", number=1)]

    assert ids(fair_queue(queue)) == ["r4", "r1", "r3", "r2"]


def test_higher_priorities_come_first_whoever_asks():
    queue = [waiting("r1"), waiting("r2", client="b", priority=5), waiting("r3", priority=1)]

    assert ids(fair_queue(queue, "b")) == ["r2", "r3", "r1"]


def test_clients_take_turns():
    queue = [waiting(f"r{n}") for n in range(1, 5)] + [waiting("r9", client="b")]

    assert ids(fair_queue(queue)) == ["r1", "r9", "r2", "r3", "r4"]


def test_who_was_served_longest_ago_is_next():
    queue = [waiting("r1"), waiting("r2", client="b"), waiting("r3", client="c")]

    assert ids(fair_queue(queue, "ba")) == ["r3", "r2", "r1"]


def test_a_turn_counts_at_every_priority():
    queue = fair_queue(
        [
            waiting("r1"),
            waiting("r2", client="b"),
            waiting("r3", priority=5),
            waiting("r4", client="c", owner="other"),
        ]
    )
    queue.serve("r3")

    assert ids(queue) == ["r4", "r2", "r1"]


def test_a_client_that_floods_the_queue_delays_others_by_one_run_each():
    flood = [waiting(f"r{n}", client="flood") for n in range(1000)]
    queue, done = fair_queue([*flood, waiting("r5000", client="late")]), []
    for _ in range(3):
        run = next(iter(queue))
        queue.serve(run.id)
        done.append(run.id)

    assert "r5000" in done[:2]


def test_owners_take_turns_whatever_the_number_of_their_clients():
    queue = [waiting(f"r{n}", client=f"c{n}", owner="many") for n in range(1, 5)]
    queue.append(waiting("r9", owner="one"))

    assert ids(fair_queue(queue)) == ["r1", "r9", "r2", "r3", "r4"]


def test_a_position_is_the_place_in_the_order_whatever_came_and_went():
    chance = random.Random(1)
    queue, there = FairQueue(), {}
    for number in range(2000):
        name = f"r{number}"
        run = waiting(
            name,
            client=chance.choice("abcde"),
            priority=chance.choice((0, 0, 0, 5)),
            number=chance.choice((number, -number)),
            owner=chance.choice("xyz"),
        )
        queue.add(run)
        there[name] = run
        if chance.random() < 0.5:
            gone = chance.choice(list(there))
            removed = chance.choice((queue.remove, queue.serve))(gone)
            assert removed == there.pop(gone)
    found = ids(queue)

    assert sorted(found) == sorted(there)
    assert [queue.position(name) for name in found] == list(range(len(found)))
    assert queue.position("r2000") is None
    priorities = [there[name].priority for name in found]
    assert priorities == sorted(priorities, reverse=True)


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


def test_a_run_for_a_comfyui_server_goes_only_there():
    own, main = Slot("w", 1, 0), Slot("comfyui:main", 1, 0, server="main")
    queue = [waiting("r1", servers=("other", "main")), waiting("r2")]

    assert pick(queue, [own, main]) == Assignment("r1", "comfyui:main")
    assert pick(queue, [own]) == Assignment("r2", "w")
    assert pick(queue, [Slot("comfyui:x", 1, 0, server="x")]) is None
    assert pick(queue[1:], [main]) is None


def test_a_suspect_run_holds_back_only_its_own_server():
    suspect = waiting("r1", servers=("main",), suspect=True)
    slots = [Slot("w", 1, 0), Slot("comfyui:main", 1, 1, server="main")]

    assert pick([suspect, waiting("r2")], slots) == Assignment("r2", "w")
    assert pick([suspect, waiting("r2", servers=("main",))], slots) is None


def test_the_queue_knows_the_places_of_its_runs():
    queue = fair_queue([waiting("r1"), waiting("r2", servers=("main",)), waiting("r3")])
    assert {*queue.places} == {(), ("main",)}

    queue.remove("r2")
    queue.serve("r1")

    assert {*queue.places} == {()}


A, B = {"a.safetensors": 6_000}, {"b.safetensors": 6_000}


def outlook(now=100.0, **known):
    """A load of `A` takes six seconds, and so does a run."""
    return Outlook(now, load_rate=1_000.0, run_seconds=6.0, **known)


def reading(name, models, *, since=99.0, client=None, **about):
    run = waiting(name, client=client or name, **about)
    return replace(run, models=models, since=since)


def test_a_run_goes_where_its_models_are():
    cold, warm = Slot("x", 1, 0), Slot("y", 1, 0, models=[*A])

    assert pick([reading("r1", A)], [cold, warm], outlook()) == Assignment("r1", "y")
    part = reading("r1", A | {"lora.safetensors": 100})
    assert pick([part], [cold, warm], outlook()) == Assignment("r1", "y")


def test_of_workers_that_have_to_load_as_much_the_one_that_was_idle_longest_gets_it():
    slots = [Slot("x", 1, 0, last_begun=50.0), Slot("y", 1, 0, last_begun=40.0)]

    assert pick([reading("r1", A)], slots, outlook()) == Assignment("r1", "y")


def test_a_run_whose_models_are_in_memory_overtakes_other_clients():
    slots = [Slot("x", 1, 0, models=[*B]), Slot("y", 0, 1)]
    queue = [reading("r1", A), reading("r2", B)]

    assert pick(queue, slots, outlook()) == Assignment("r2", "x")
    assert pick(queue, slots[:1], outlook()) == Assignment("r1", "x"), "one worker keeps the order"
    assert pick(queue, slots) == Assignment("r1", "x"), "nothing is known of times"


def test_nothing_overtakes_its_own_client_or_a_higher_priority():
    slots = [Slot("x", 1, 0, models=[*B]), Slot("y", 0, 1)]
    mine = [reading("r1", A, client="c"), reading("r2", B, client="c")]
    lower = [reading("r1", A, priority=1), reading("r2", B)]

    assert pick(mine, slots, outlook()) == Assignment("r1", "x")
    assert pick(lower, slots, outlook()) == Assignment("r1", "x")


def test_a_run_waits_for_a_busy_worker_that_is_sooner_ready_than_a_load():
    free = Slot("x", 1, 0)

    def with_busy(last_begun):
        return [free, Slot("y", 0, 1, models=[*A], last_begun=last_begun)]

    assert pick([reading("r1", A)], with_busy(97.0), outlook()) is None, "3 s are less than 6"
    assert pick([reading("r1", A)], with_busy(80.0), outlook()) == Assignment("r1", "x"), "is late"
    two = [reading("r1", A), reading("r2", A)]
    assert pick(two, with_busy(97.0), outlook()) == Assignment("r2", "x"), "y is promised to r1"
    other = [reading("r1", A), reading("r2", B)]
    assert pick(other, with_busy(97.0), outlook()) == Assignment("r2", "x")


def test_a_run_that_has_waited_too_long_is_overtaken_no_more():
    slots = [Slot("x", 1, 0, models=[*B]), Slot("y", 0, 1, models=[*A], last_begun=99.0)]
    queue = [reading("r1", A, since=60.0), reading("r2", B)]

    assert pick(queue, slots, outlook()) == Assignment("r1", "x", overdue=True)
    assert pick(queue, slots, outlook(is_used_up=True)) == Assignment("r2", "x")


def test_overdue_runs_are_at_most_a_tenth_of_the_last_ones():
    known = Estimates()
    for number in range(100):
        known.note_pick(Assignment("r", "w", overdue=number < 10))

    assert known.outlook(0.0).is_used_up
    known.note_pick(Assignment("r", "w"))
    assert not known.outlook(0.0).is_used_up


def test_estimates_follow_what_is_measured():
    known = Estimates(load_rate=100.0, run_seconds=10.0)
    for _ in range(100):
        known.note_load(4_000, 2.0)
        known.note_run(1.0)
    known.note_load(0, 5.0)
    known.note_load(100, 0.0)

    assert known.outlook(0.0).load_rate == pytest.approx(2_000.0, rel=1e-3)
    assert known.outlook(0.0).run_seconds == pytest.approx(1.0, rel=1e-3)


def test_in_a_fleet_placing_by_models_beats_the_order_and_the_shortest_queue():
    fleet = Fleet(workers=8, checkpoints=60, runs=600, rate=0.7)
    found = {}
    for name in ("first come", "least loaded worker", "models, for nine runs in ten"):
        took, warm = waits(fleet, policies(fleet, 1)[name], seed=1)
        found[name] = (quantiles(took, n=100)[98], warm)

    ours, *others = reversed(found.values())
    assert all(ours[0] < late / 3 for late, _ in others)
    assert all(ours[1] > 2 * warm for _, warm in others)
