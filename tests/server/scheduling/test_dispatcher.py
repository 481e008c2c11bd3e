"""From the queue to workers and back, with workers that do as the tests say."""

import asyncio
import logging

import pytest

from server.errors import DrainingError, StorageError, WorkerLostError
from server.scheduling import attempts, look_ahead
from server.scheduling.attempts import ATTEMPTS
from server.scheduling.dispatcher import Dispatcher
from server.scheduling.event_bus import Bus
from server.scheduling.placing import AHEAD, WRITING
from server.store.runs import NewRun, Work
from server.store.store import Store
from server.workers.worker import Report
from tests.server.postgres import queue_in

FINISHED = {"node_id": "1", "type_name": "Toy", "seconds": 0.1}
DONE = Report("done", {"state": "succeeded", "executed": 1, "cached": 0})


class Scripted:
    """A worker in this process: what each run does is told by its graph."""

    def __init__(self, name="w", slots=1, server=""):
        self.name = name
        self.server = server
        self.slots = slots
        self.ready = True
        self.device = {}
        self.writing = set()
        self.models: list[str] = []
        self.expected = []
        self.begun = []
        self.cancelled = set()
        self.looks = []
        self.at_once = 0
        self.most_at_once = 0
        self.killers = {}

    async def start(self):
        pass

    async def stop(self):
        pass

    async def expect(self, prompt):
        self.expected.append(prompt)

    async def reload(self):
        pass

    async def free(self):
        pass

    async def cancel(self, run):
        self.cancelled.add(run)

    def set_watched(self, run, watched):
        self.looks.append((run, watched))

    async def run(self, order):
        self.begun.append(order.run)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield [Report("node_started", {"node_id": "1"}), Report("progress", {"value": 1})]
            for _ in range(order.work.prompt.get("steps", 1)):
                await asyncio.sleep(0.002)
                if order.run in self.cancelled:
                    yield [Report("done", {"state": "cancelled"})]
                    return
            if "breaks" in order.work.prompt:
                raise LookupError
            deaths = self.killers.get(order.run, 0)
            if deaths:
                self.killers[order.run] = deaths - 1
                reason = "SIGKILL"
                raise WorkerLostError(reason, self.at_once)
            yield [Report("node_finished", FINISHED), DONE]
        finally:
            self.at_once -= 1


class House:
    """A dispatcher with its store and workers, and everything that was published."""

    def __init__(self, path, *workers, observers=()):
        self.store = Store(path)
        self.bus = Bus()
        self.dispatcher = Dispatcher(self.store, self.bus, observers=observers)
        self.dispatcher.workers.extend(workers)
        self.heard = []

    async def __aenter__(self):
        self.store.open()
        self.subscriber = self.bus.subscribe()
        await self.dispatcher.start()
        return self

    async def __aexit__(self, *_):
        await self.dispatcher.stop()
        self.store.close()

    async def submit(self, name, *, steps=1, prompt=None, **options):
        work = Work(prompt=prompt or {"steps": steps}, targets=[])
        return await self.dispatcher.submit(NewRun(id=name, work=work, **options))

    async def over(self, count=1):
        """Listen until so many runs are over."""
        while count:
            message = await asyncio.wait_for(self.subscriber.next(), 10)
            assert message
            self.heard.append(message)
            count -= message.name in ("run_finished", "run_failed", "run_cancelled")

    async def busy(self):
        """Wait until something runs."""
        while not self.dispatcher.active_runs():  # noqa: ASYNC110 - nobody is told of the first step
            await asyncio.sleep(0.001)

    def names(self, run):
        return [message.name for message in self.heard if message.run == run]


@pytest.fixture
def path(tmp_path):
    return queue_in(tmp_path)


def test_a_run_is_told_of_in_order_and_milestones_are_kept(path):
    async def scenario():
        async with House(path, Scripted()) as house:
            await house.submit("a", client="me")
            await house.over()
            return house, await house.store.events("a"), await house.store.run("a")

    house, kept, run = asyncio.run(scenario())
    everything = ["run_queued", "node_started", "progress", "node_finished", "run_finished"]
    assert house.names("a") == everything
    assert [event.name for event in kept] == [n for n in everything if n != "progress"]
    assert [m.id for m in house.heard if m.run and m.id] == [event.id for event in kept]
    assert {m.client for m in house.heard if m.run} == {"me"}
    assert (run.state, run.attempts, run.worker) == ("succeeded", 1, "w")


def test_workers_get_as_many_runs_as_they_have_slots(path):
    async def scenario():
        one, two = Scripted("one", slots=1), Scripted("two", slots=3)
        async with House(path, one, two) as house:
            for number in range(20):
                await house.submit(f"r{number}", steps=5)
            await house.over(20)
        return one, two

    one, two = asyncio.run(scenario())
    assert (one.most_at_once, two.most_at_once) == (1, 3)
    assert len(one.begun) + len(two.begun) == 20


def test_a_run_that_only_writes_its_files_has_no_slot(path):
    async def scenario():
        async with House(path, worker := Scripted()) as house:
            for number in range(WRITING + 3):
                await house.submit(f"r{number}", steps=100_000)
            await _until(lambda: len(worker.begun) == 1)
            for number in range(WRITING + 1):
                worker.writing.add(f"r{number}")
                house.dispatcher.wake()
                await _until(lambda: worker.at_once == len(worker.begun))
                await asyncio.sleep(0.05)
            while_writing = list(worker.begun)
            worker.writing.remove("r0")
            worker.cancelled.add("r0")
            await _until(lambda: len(worker.begun) > WRITING + 1)
            return while_writing, worker.most_at_once

    begun, most = asyncio.run(scenario())
    assert begun == [f"r{number}" for number in range(WRITING + 1)]
    assert most == WRITING + 1


def test_a_worker_is_told_of_the_run_that_waits_next(path):
    async def scenario():
        async with House(path, worker := Scripted()) as house:
            await house.submit("r0", steps=100_000)
            await _until(lambda: worker.begun)
            await house.submit("r1", steps=7)
            await house.submit("r2", steps=8)
            await _until(lambda: worker.expected)
            await asyncio.sleep(2 * look_ahead.PAUSE)
            first = list(worker.expected)
            worker.cancelled.add("r0")
            await house.over(3)
            await asyncio.sleep(2 * look_ahead.PAUSE)
            return first, worker.expected

    first, after = asyncio.run(scenario())
    assert first == after == [{"steps": 7}]


def test_clients_take_turns(path):
    async def scenario():
        worker = Scripted()
        worker.ready = False
        async with House(path, worker) as house:
            for number in range(4):
                await house.submit(f"flood{number}", client="flood")
            await house.submit("late", client="late")
            worker.ready = True
            house.dispatcher.wake()
            await house.over(5)
        return worker.begun

    assert asyncio.run(scenario()).index("late") <= 1


def test_a_waiting_run_is_cancelled_at_once_and_never_begun(path):
    async def scenario():
        worker = Scripted()
        worker.ready = False
        async with House(path, worker) as house:
            await house.submit("a")
            done = await house.dispatcher.cancel("a")
            again = await house.dispatcher.cancel("a")
            return done, again, await house.store.run("a"), worker.begun

    done, again, run, begun = asyncio.run(scenario())
    assert (done, again) == (True, False)
    assert (run.state, begun) == ("cancelled", [])


def test_a_running_run_is_cancelled_by_its_worker(path):
    async def scenario():
        async with House(path, Scripted()) as house:
            await house.submit("a", steps=10_000)
            await house.busy()
            await house.dispatcher.cancel("a")
            await house.over()
            return await house.store.run("a")

    assert asyncio.run(scenario()).state == "cancelled"


def test_what_killed_its_worker_alone_is_tried_again_and_parked_in_the_end(path):
    async def scenario():
        worker = Scripted()
        worker.killers = {"bad": 99, "unlucky": ATTEMPTS - 1}
        async with House(path, worker) as house:
            await house.submit("bad")
            await house.submit("unlucky")
            await house.submit("good")
            await house.over(3)
            runs = [await house.store.run(name) for name in ("bad", "unlucky", "good")]
            return house, worker, runs

    house, worker, (bad, unlucky, good) = asyncio.run(scenario())
    assert (bad.state, bad.attempts, bad.deaths) == ("failed", ATTEMPTS, ATTEMPTS - 1)
    assert bad.error
    assert bad.error["code"] == "run_parked"
    killed = f"it ran {ATTEMPTS} times, and {ATTEMPTS} times the worker process died"
    assert bad.error["message"].startswith(killed)
    assert "SIGKILL" in bad.error["message"]
    assert (unlucky.state, unlucky.attempts) == ("succeeded", ATTEMPTS)
    assert (good.state, good.attempts) == ("succeeded", 1)
    assert worker.begun.count("bad") == ATTEMPTS
    assert house.names("bad").count("run_requeued") == ATTEMPTS - 1


def test_a_death_in_company_makes_suspects_and_charges_nobody(path):
    async def scenario():
        worker = Scripted(slots=2)
        worker.killers = {"a": 1}
        async with House(path, worker) as house:
            await house.submit("b", steps=50)
            await house.submit("a", steps=5)
            await house.over(2)
            return await house.store.run("a")

    run = asyncio.run(scenario())
    assert (run.state, run.deaths, run.suspect) == ("succeeded", 0, True)


def test_the_next_server_goes_on_with_what_was_queued_and_with_what_was_running(path):
    async def first():
        async with House(path, Scripted()) as house:
            await house.submit("a", steps=100_000)
            await house.submit("b", client="x")
            await house.busy()

    async def second():
        async with House(path, worker := Scripted()) as house:
            await house.over(0)
            worker.cancelled.add("a")
            await house.over(2)
            return [await house.store.run(name) for name in ("a", "b")]

    asyncio.run(first())
    a, b = asyncio.run(second())
    assert (a.attempts, a.deaths, a.suspect) == (2, 0, False)
    assert (b.state, b.attempts) == ("succeeded", 1)


def test_a_server_that_shuts_down_takes_nothing_and_lets_runs_finish(path):
    async def scenario():
        async with House(path, Scripted()) as house:
            await house.submit("a", steps=20)
            await house.submit("b")
            await house.busy()
            finished = await house.dispatcher.drain(10)
            with pytest.raises(DrainingError):
                await house.submit("c")
            return finished, [await house.store.run(name) for name in ("a", "b")]

    finished, (a, b) = asyncio.run(scenario())
    assert finished
    assert (a.state, b.state) == ("succeeded", "queued")


def test_an_error_of_the_server_s_own_ends_the_run_and_the_next_one_runs(path):
    async def scenario():
        async with House(path, Scripted()) as house:
            await house.submit("a", prompt={"breaks": True})
            await house.submit("b")
            await house.over(2)
            return await house.store.run("a"), await house.store.run("b")

    broken, sound = asyncio.run(scenario())
    assert (broken.state, sound.state) == ("failed", "succeeded")
    assert broken.error
    assert "LookupError" in broken.error["message"]


def test_a_run_that_is_sent_again_while_it_is_cancelled_does_not_come_back(path):
    async def scenario():
        async with House(path, Scripted()) as house:
            await house.submit("long", steps=100_000)
            await house.busy()
            for number in range(50):
                name = f"r{number}"
                again = [house.submit(name, digest="d") for _ in range(3)]
                await house.submit(name, digest="d")
                await asyncio.gather(*again, house.dispatcher.cancel(name))
                await house.store.forget([name])
            waiting = house.dispatcher.queue()
            await house.dispatcher.cancel("long")
            await house.submit("last")
            await house.over(52)
            return waiting, house.dispatcher.alive, await house.store.run("last")

    waiting, alive, last = asyncio.run(scenario())
    assert waiting == []
    assert alive
    assert last.state == "succeeded"


def test_a_run_that_can_not_be_begun_holds_nobody_up(path):
    async def scenario():
        async with House(path, Scripted()) as house:
            begin = house.store.begin

            async def fails(run_id, worker, server=""):
                if run_id == "odd":
                    raise LookupError(run_id)
                return await begin(run_id, worker, server)

            house.store.begin = fails
            await house.submit("odd")
            await house.submit("b")
            await house.over(2)
            runs = [await house.store.run(name) for name in ("odd", "b")]
            return runs, house.dispatcher.alive

    runs, alive = asyncio.run(scenario())
    assert [run.state for run in runs] == ["failed", "succeeded"]
    assert alive


async def _until(true):
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.001)


def test_the_worker_goes_on_while_the_ends_of_runs_are_written_but_not_for_ever(path):
    async def scenario():
        async with House(path, worker := Scripted()) as house:
            report, may_write = house.store.report, asyncio.Event()

            async def slow(run_id, events, ending=None, attempt=None):
                if ending:
                    await may_write.wait()
                return await report(run_id, events, ending, attempt)

            house.store.report = slow
            for number in range(AHEAD + 5):
                await house.submit(f"r{number}")
            await _until(lambda: len(worker.begun) > AHEAD)
            await asyncio.sleep(0.05)
            begun, remaining = len(worker.begun), house.dispatcher.remaining("")
            may_write.set()
            await house.over(AHEAD + 5)
            return begun, remaining, worker, await house.store.events()

    begun, remaining, worker, kept = asyncio.run(scenario())
    assert begun == AHEAD + 1
    assert remaining == AHEAD + 5
    assert worker.most_at_once == 1
    ends = [event.run for event in kept if event.name == "run_finished"]
    assert ends == [f"r{number}" for number in range(AHEAD + 5)]


def test_nothing_of_a_run_is_recorded_before_its_beginning(path):
    async def scenario():
        async with House(path, worker := Scripted()) as house:
            begin, may_begin = house.store.begin, asyncio.Event()

            async def slow(run_id, worker, server=""):
                await may_begin.wait()
                return await begin(run_id, worker, server)

            house.store.begin = slow
            await house.submit("a")
            await _until(lambda: worker.begun)
            await asyncio.sleep(0.05)
            before = [event.name for event in await house.store.events("a")]
            state = (await house.store.run("a")).state
            may_begin.set()
            await house.over()
            return before, state, await house.store.run("a")

    before, state, run = asyncio.run(scenario())
    assert before == ["run_queued"]
    assert state == "queued"
    assert (run.state, run.attempts) == ("succeeded", 1)


def test_while_the_disk_takes_no_beginnings_no_further_run_is_begun(path, monkeypatch):
    monkeypatch.setattr(attempts, "PAUSE", 0.05)

    async def scenario():
        async with House(path, worker := Scripted(slots=2)) as house:
            begin, tries = house.store.begin, []

            async def fails(run_id, worker, server=""):
                tries.append(run_id)
                if len(tries) < 4:
                    raise StorageError(run_id)
                return await begin(run_id, worker, server)

            house.store.begin = fails
            await house.submit("a")
            await _until(lambda: tries)
            await house.submit("b")
            await _until(lambda: len(tries) == 3)
            begun = list(worker.begun)
            await house.over(2)
            return tries, begun, [await house.store.run(name) for name in ("a", "b")]

    tries, begun, runs = asyncio.run(scenario())
    assert tries == ["a", "a", "a", "a", "b"]
    assert begun == ["a"]
    assert [(run.state, run.attempts) for run in runs] == [("succeeded", 1)] * 2


def test_a_run_that_dies_with_its_worker_before_its_beginning_is_written_runs_again(path):
    async def scenario():
        worker = Scripted()
        worker.killers = {"a": 1}
        async with House(path, worker) as house:
            begin = house.store.begin

            async def slow(run_id, worker, server=""):
                await asyncio.sleep(0.05)
                return await begin(run_id, worker, server)

            house.store.begin = slow
            await house.submit("a")
            await house.over()
            return house.names("a"), await house.store.run("a")

    names, run = asyncio.run(scenario())
    assert names.count("run_requeued") == 1
    assert (run.state, run.attempts, run.deaths) == ("succeeded", 2, 1)


def test_the_log_has_one_line_about_each_run(path, caplog):
    async def scenario():
        async with House(path, Scripted()) as house:
            await house.submit("good", client="me\n", owner="ann")
            await house.submit("odd", prompt={"breaks": True})
            await house.submit("hers", owner="ann")
            await house.over(3)

    with caplog.at_level(logging.INFO, "server.scheduling.recorder"):
        asyncio.run(scenario())

    records = [found for found in caplog.records if found.levelno == logging.INFO]
    good, odd, hers = (
        next(r for r in records if vars(r)["run"] == name) for name in ("good", "odd", "hers")
    )
    assert len(records) == 3
    assert good.getMessage().startswith("succeeded after 0.")
    end = r" s: 1 nodes run, 0 cached; begun by client 'me\n' of ann"
    assert good.getMessage().endswith(end)
    assert odd.getMessage().startswith("failed (")
    assert odd.getMessage().endswith(" s")
    assert hers.getMessage().endswith(" s: 1 nodes run, 0 cached; begun by ann")
