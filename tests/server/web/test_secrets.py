"""What nobody may read: tokens are in no reply, and in no log."""

import re

import pytest

from tests.server.postgres import PASSWORD
from tests.server.routing import routes
from tests.server.serving import install_toys, serving, toy

TOKEN = "canary-token-5521-of-the-server"
HUB = "canary-hub-7742-of-the-hub"
SECRETS = (TOKEN, HUB, PASSWORD)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that knows two secrets, and writes down all that it does."""
    home = tmp_path_factory.mktemp("secrets")
    install_toys(home)
    (home / "nodegraph.toml").write_text(f'hub_token = "{HUB}"\n')
    flags = ["--token", TOKEN, "--log-level", "debug"]
    with serving(home, flags, {"HF_TOKEN": HUB}) as running:
        yield running


def test_no_reply_and_no_log_has_a_secret_in_it(guarded, tmp_path):
    known, found = guarded.of(TOKEN), []
    run = known.submit(toy())
    known.finished(run)
    bodies = [None, b"{", b'{"prompt": 1}', b'{"workflow": {"1": 2}}']
    for route in routes(tmp_path):
        for name in (run, "x"):
            path = re.sub(r"\{[^}]*\}", name, route.path)
            for body in [None] if route.method in ("GET", "HEAD") else bodies:
                if route.path == "/ws":
                    continue
                for server in (known, guarded):
                    reply = server.ask(route.method, path, body)
                    text = f"{reply.headers}{reply.data!r}"
                    if any(secret in text for secret in SECRETS):
                        found.append((route, reply))

    assert found == []
    log = (guarded.home / "log.txt").read_text()
    assert "/history" in log
    assert not [secret for secret in SECRETS if secret in log]


def test_what_was_nearly_right_is_not_repeated(guarded):
    wrong = f"{TOKEN}x"
    replies = [
        guarded.get("/queue", Authorization=f"Bearer {wrong}"),
        guarded.get("/queue", Authorization=wrong),
        guarded.get("/queue", Cookie=f"nodegraph_token={TOKEN}"),
        guarded.get(f"/login?token={wrong}"),
        guarded.get(f"/queue?token={TOKEN}"),
    ]

    assert {reply.status for reply in replies} == {401}
    assert not [reply for reply in replies if TOKEN in f"{reply.headers}{reply.data!r}"]
    assert TOKEN not in (guarded.home / "log.txt").read_text()


def test_a_token_in_a_prompt_that_fails_stays_out_of_the_log(guarded):
    known = guarded.of(TOKEN)
    prompt = toy()
    prompt["1"]["inputs"]["count"] = HUB

    assert known.post("/prompt", {"prompt": prompt}).status == 400
    assert HUB not in (guarded.home / "log.txt").read_text()
