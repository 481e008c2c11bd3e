"""The store in Postgres: several processes, restarts, cuts, wrong settings, versions."""

import asyncio
import subprocess
import sys
import threading

import pytest

pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")

import psycopg

from nodegraph.errors import SettingsError
from server.errors import NewerStoreError, StorageError
from server.store.postgres import database as postgres_database
from server.store.postgres.connection import PostgresConnection
from server.store.postgres.migrate import migrate
from server.store.runs import Ending, NewRun, Work
from server.store.schema import VERSION
from server.store.store import Store
from tests.server import postgres
from tests.server.cutting import Cutter

SUCCESS = Ending("succeeded", "run_finished", {})


@pytest.fixture
def url():
    """An empty database with tables."""
    return postgres.needed().create_with_tables()


@pytest.fixture
def stores(url):
    """Two server processes' stores in one database."""
    pair = Store(url), Store(url)
    for store in pair:
        store.open()
    yield pair
    for store in pair:
        store.close()


def new(name, **options):
    return NewRun(id=name, work=Work(prompt={"1": {}}, targets=[]), **options)


async def until_written(write):
    """What a caller does: try again until the store takes it."""
    while True:
        try:
            return await write()
        except StorageError:
            await asyncio.sleep(0.05)


def cut(url, which):
    """Have Postgres end the connections of others."""
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    postgres.ask(url, f"{ending} AND {which}")


def refusal(url):
    """What a person is told who starts a server with that setting."""
    with pytest.raises(SettingsError) as caught:
        Store(url).open()
    told = f"{caught.value.message} {caught.value.hint}"
    assert postgres.PASSWORD not in told
    assert "\n" not in told
    return told


def test_what_is_wrong_with_the_setting_is_said_in_a_line(url):
    cluster = postgres.needed()
    cluster.execute("postgres", "CREATE USER weak PASSWORD 'weak'")
    name = url.rpartition("/")[2]
    secret = postgres.PASSWORD

    assert "not the URL" in refusal(f"mysql://root:{secret}@127.0.0.1/x")
    assert "PGPASSWORD" in refusal(cluster.url(name, password="wrong"))
    assert "createdb" in refusal(cluster.url("nowhere"))
    assert "runs at this address" in refusal(f"postgresql://a:{secret}@127.0.0.1:1/x")
    assert "GRANT CREATE" in refusal(cluster.create().replace(f"postgres:{secret}", "weak:weak"))


def test_with_sslmode_nothing_is_sent_without_tls(url):
    for mode in ("require", "verify-ca", "verify-full"):
        told = refusal(f"{url}?sslmode={mode}&sslrootcert=/nowhere")

        assert "SSL was required" in told


def test_without_the_extra_it_is_named(url):
    hidden = "import sys; sys.modules['psycopg'] = None\n"
    program = f"{hidden}from server.store.store import Store\nStore({url!r})"
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert "server.database needs the package psycopg" in ended.stderr


def test_the_tables_are_those_of_sqlite(url, tmp_path):
    path = tmp_path / "queue.sqlite"
    Store(path).open()
    kinds = {"INTEGER": "bigint", "TEXT": "text", "REAL": "double precision"}
    question = (
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
    )
    ours = set(postgres.ask(url, question))

    tables = {table for table, *_ in ours}
    for table in tables:
        columns = postgres.ask(path, f"PRAGMA table_info({table})")
        theirs = {
            (table, name, kinds[kind], "NO" if required or key else "YES")
            for _, name, kind, required, _, key in columns
        }
        assert theirs == {column for column in ours if column[0] == table}
    assert tables == {"runs", "graphs", "events", "files", "deliveries", "servers"}


def test_servers_that_start_at_once_make_the_tables_once_and_old_ones_are_mended():
    def start(url):
        store = Store(url)
        store.open()
        store.close()

    urls = [postgres.needed().create() for _ in range(2)]
    migrate(urls[1], "5")
    for url in urls:
        threads = [threading.Thread(target=start, args=(url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert postgres.ask(url, "SELECT version_num FROM alembic_version") == [(str(VERSION),)]
        assert postgres.ask(url, "SELECT server, cancel FROM runs") == []


def test_tables_of_a_later_version_are_refused(url):
    postgres.ask(url, f"UPDATE alembic_version SET version_num = '{VERSION + 1}'")

    with pytest.raises(NewerStoreError) as caught:
        Store(url).open()
    assert postgres.PASSWORD not in caught.value.message


def test_a_reader_that_asks_for_later_events_misses_none(stores):
    async def write(store, name):
        for number in range(25):
            await store.accept(new(f"{name}{number}"))

    async def follow(store, seen):
        while len(seen) < 100:
            seen += await store.events(after=seen[-1].id if seen else 0)

    async def scenario():
        seen = []
        names = (f"{place}-{part}-" for place in range(2) for part in range(2))
        writers = [write(stores[number % 2], name) for number, name in enumerate(names)]
        await asyncio.wait_for(asyncio.gather(follow(stores[0], seen), *writers), 60)
        return seen, await stores[1].events()

    seen, everything = asyncio.run(scenario())
    assert seen == everything
    assert len({event.run for event in seen}) == 100


CLAIMING = """
import asyncio, sys
from server.errors import RunStateError
from server.store.store import Store

async def main(url, name):
    store = Store(url)
    store.open()
    async def claim(run):
        try:
            return (await store.begin(run, "w", name)).id
        except RunStateError:
            return None
    print("ready", flush=True)
    sys.stdin.readline()
    runs = [run.id for run in await store.runs()]
    claimed = await asyncio.gather(*map(claim, runs))
    print(*filter(None, claimed), flush=True)
    store.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_several_processes_claim_each_run_once(stores, url, count):
    async def fill():
        await asyncio.gather(*(stores[0].accept(new(f"r{number}")) for number in range(60)))

    asyncio.run(fill())
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMING, url, f"server {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for program in programs:
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin
        program.stdin.write("go\n")
        program.stdin.flush()
    claimed = [name for program in programs for name in program.communicate()[0].split()]

    assert sorted(claimed) == sorted(f"r{number}" for number in range(60))
    attempts = postgres.ask(url, "SELECT DISTINCT attempts, state FROM runs")
    assert attempts == [(1, "running")]


def test_a_server_that_stalls_in_a_transaction_holds_nobody_up(url, monkeypatch):
    monkeypatch.setattr(postgres_database, "_STALLED", 1)
    first, second = Store(url), Store(url)
    for store in (first, second):
        store.open()
    inside, over = threading.Event(), threading.Event()

    def stall(db):
        db.execute("UPDATE runs SET worker = 'stalled'")
        inside.set()
        over.wait(30)

    async def scenario():
        await first.accept(new("a"))
        stalled = asyncio.create_task(first._database.write(stall))
        await asyncio.to_thread(inside.wait)
        beat = await second.servers.beat("second")
        await second.accept(new("b"))
        over.set()
        with pytest.raises(StorageError):
            await stalled
        await first.accept(new("c"))  # by a new connection
        return beat, {run.id: run.worker for run in await second.runs()}

    beat, workers = asyncio.run(scenario())
    for store in (first, second):
        store.close()
    assert beat is False
    assert workers == {"a": "", "b": "", "c": ""}


@pytest.mark.parametrize("rounds", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_a_lost_answer_to_a_commit_is_asked_for_again(url, rounds):
    """Connections are cut at any byte; what was reported is there once, whatever was said."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    cutter = Cutter(port, seed=5, cuts=rounds, span=(1500, 6000))
    through = url.replace(f":{port}/", f":{cutter.url.rpartition(':')[2]}/")

    def opened():
        while True:
            try:
                store = Store(through)
                store.open()
            except SettingsError:
                continue
            return store

    async def scenario():
        for number in range(rounds):
            run = f"r{number}"
            await until_written(lambda run=run: store.accept(new(run, digest="x")))
            attempt = (await until_written(lambda run=run: claim(run))).attempt
            await until_written(lambda run=run, attempt=attempt: report(run, attempt))

    async def claim(run):
        return await store.begin(run, "w", "one")

    async def report(run, attempt):
        return await store.report(run, [("node_started", {})], SUCCESS, attempt)

    store = opened()
    asyncio.run(scenario())
    store.close()
    cutter.close()
    assert cutter.cuts > rounds // 4
    counts = "SELECT DISTINCT count(*) FROM events GROUP BY run"
    assert postgres.ask(url, counts) == [(3,)]
    assert postgres.ask(url, "SELECT DISTINCT attempts, state FROM runs") == [(1, "succeeded")]


@pytest.mark.parametrize("committed", [True, False])
def test_after_a_lost_answer_what_is_said_is_what_was_committed(stores, monkeypatch, committed):
    execute, cuts = PostgresConnection.execute, ["one"]

    def lossy(connection, sql, values=(), /):
        if sql != "COMMIT" or not cuts:
            return execute(connection, sql, values)
        cuts.clear()
        if committed:
            execute(connection, sql, values)
        connection.raw.close()
        message = "the answer is lost"
        raise psycopg.OperationalError(message)

    async def scenario():
        results = await asyncio.gather(stores[0].accept(new("a")), return_exceptions=True)
        await stores[0].accept(new("b"))
        return results, [run.id for run in await stores[1].runs()]

    monkeypatch.setattr(PostgresConnection, "execute", lossy)
    (result,), runs = asyncio.run(scenario())
    assert isinstance(result, StorageError) is not committed
    assert runs == (["b", "a"] if committed else ["b"])


def test_a_restart_of_postgres_in_the_midst_of_writes_loses_and_doubles_nothing():
    if reason := postgres.reason_to_skip():
        pytest.skip(reason)
    cluster = postgres.Cluster()
    store = Store(cluster.create())
    store.open()

    async def client(number, over):
        names = []
        while not over.is_set():
            names.append(f"{number}-{len(names)}")
            await until_written(lambda name=names[-1]: store.accept(new(name, digest="x")))
        return names

    async def scenario():
        over = asyncio.Event()
        clients = [asyncio.create_task(client(number, over)) for number in range(4)]
        for how in ("fast", "immediate"):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(cluster.stop, how)
            with pytest.raises(StorageError):
                await store.writable()
            await asyncio.to_thread(cluster.start)
            await until_written(store.writable)
        over.set()
        return [name for names in await asyncio.gather(*clients) for name in names]

    try:
        accepted = asyncio.run(scenario())
        kept = [run.id for run in asyncio.run(store.runs())]
    finally:
        store.close()
        cluster.remove()
    assert sorted(kept) == sorted(accepted)
    assert len(accepted) > 8


def test_others_hear_of_each_change_and_of_what_is_said_and_again_after_a_cut(stores, url):
    async def scenario():
        heard = stores[1].notices()
        notices = [await anext(heard)]
        accepted = await stores[0].accept(new("a"))
        notices.append(await anext(heard))
        await stores[0].begin("a", "w", "one")
        notices.append(await anext(heard))
        await stores[0].broadcast("progress of a")
        notices.append(await anext(heard))
        cut(url, "query LIKE 'LISTEN%'")
        notices.append(await anext(heard))
        await heard.aclose()
        return accepted.event.id, [(notice.event, notice.payload) for notice in notices]

    newest, notices = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert notices == [(0, ""), (newest, ""), (0, ""), (0, "progress of a"), (0, "")]


def test_settings_that_lose_runs_are_told_of(url, caplog):
    store = Store(f"{url}?options=-csynchronous_commit%3Doff")
    store.open()
    store.close()

    assert "synchronous_commit off" in caplog.text


def test_a_reader_changes_nothing_and_finds_its_way_back(stores, url):
    async def scenario():
        with pytest.raises(Exception, match="read-only"):
            await stores[0]._database.read(lambda db: db.execute("DELETE FROM runs"))
        await stores[0].accept(new("a"))
        cut(url, "datname = current_database()")
        found, beat = await stores[0].find("a"), await stores[0].servers.beat("one")
        return found, beat, await stores[0].accept(new("b"))

    found, beat, accepted = asyncio.run(scenario())
    assert (found.id, beat, accepted.run.id) == ("a", False, "b")
