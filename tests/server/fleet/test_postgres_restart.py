"""Postgres goes away under two servers, again and again, while clients send runs."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.server import postgres
from tests.server.fleet.test_fleet_kill import Pair, Sender, check
from tests.server.serving import install_toys, until

COUNT = 200
ENDS = ("fast", "immediate", "fast", "immediate")
AWAY = 4
"""Seconds, more than the lease of these servers."""


@pytest.fixture
def cluster():
    """A Postgres that may be stopped."""
    if reason := postgres.reason_to_skip():
        pytest.skip(reason)
    made = postgres.Cluster()
    yield made
    made.remove()


@pytest.mark.slow
def test_restarts_of_postgres_under_two_servers_lose_and_double_nothing(tmp_path, cluster):
    install_toys(tmp_path)
    url = cluster.create()
    pair, stops = Pair(tmp_path, url), []
    sender = Sender(pair, lambda: (len(stops) + 1) / (len(ENDS) + 1), COUNT)
    try:
        for server in pair.servers.values():
            server.ready()
        with ThreadPoolExecutor(16) as clients:
            sent = [clients.submit(sender.send, number) for number in range(COUNT)]
            for how in ENDS:
                until(lambda: postgres.query(url, "SELECT 1 FROM runs WHERE state = 'running'"))
                cluster.stop(how)
                until(lambda: {s.get("/readyz").status for s in pair.servers.values()} == {503})
                time.sleep(AWAY)
                cluster.start()
                for server in pair.servers.values():
                    server.ready()
                stops.append(how)
            for future in sent:
                future.result()
        left = "SELECT id FROM runs WHERE state IN ('queued', 'running')"
        until(lambda: not postgres.query(url, left), 600)
        check(url, sender, pair.servers["a"].output)
        alive = [server.process.poll() is None for server in pair.servers.values()]
        again = postgres.query(url, "SELECT coalesce(sum(attempts - 1), 0)::int FROM runs")[0][0]
    finally:
        pair.stop()

    logs = [path.read_text() for path in tmp_path.rglob("log*.txt")]
    assert any("Postgres" in log for log in logs)
    assert not [log for log in logs if postgres.PASSWORD in log]
    assert alive == [True, True]
    assert len(sender.accepted) == COUNT
    print(
        f"\n{len(stops)} restarts: {COUNT} accepted = finished, 0 doubled, 0 truncated;"
        f" {again} run again, {sender.sent_again} requests sent again"
    )
