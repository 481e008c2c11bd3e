"""A store that refuses, cheats, hangs or goes away: nothing is lost or doubled, and it passes."""

import os
import re
from dataclasses import replace

import pytest

from nodegraph.errors import ObjectStoreError
from nodegraph.files.file_names import SaveSlot
from nodegraph.files.objects import body, bucket
from tests.object_stores.failing import cut, refusal
from tests.object_stores.naming import Names

REFUSALS = {
    "no rights": (refusal("403 Forbidden", "AccessDenied"), "may not do that.*_KEY"),
    "full": (refusal("507 Insufficient Storage"), "it is full.*Make room"),
    "large": (refusal("413 Payload Too Large"), "too large.*smaller files"),
    "clock": (refusal("403 Forbidden", "RequestTimeTooSkewed"), "clock.*is wrong.*NTP"),
    "Azure's clock": (
        refusal("403 Forbidden", "AuthenticationFailed", "Request date header too old"),
        "clock.*is wrong.*NTP",
    ),
    "busy": (refusal("409 Conflict", "OperationAborted"), "answers 409 OperationAborted"),
    "elsewhere": (refusal("301 Moved"), "LOCATION|answers 301|region"),
    "nonsense": (b"nonsense\r\n\r\n", "can not be reached"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_store_that_refuses_writes_loses_nothing_and_doubles_nothing(
    open_files, failing, object_store, prefix, kind
):
    answer, told = REFUSALS[kind]
    proxy = failing()
    files = open_files(proxy.endpoint, object_patience=0.3)
    before = files.save("output", "cat", ".png", b"before")

    proxy.trouble = lambda method, ask: answer if method == "PUT" else ask()
    with pytest.raises(ObjectStoreError, match=told) as caught:
        files.save("output", "cat", ".png", b"x")
    read = files.path(before).read_bytes()
    proxy.trouble = None
    after = files.save("output", "cat", ".png", b"after")

    assert read == b"before"
    assert "\n" not in str(caught.value)
    assert after.name == "cat_00002_.png"
    assert object_store.keys(f"{prefix}/out") == [
        f"{prefix}/out/cat_00001_.png",
        f"{prefix}/out/cat_00002_.png",
    ]


def test_a_conflict_of_the_moment_passes(open_files, failing, object_store, prefix):
    proxy, conflicts = failing(), [refusal("409 Conflict", "ConditionalRequestConflict")] * 2
    files = open_files(proxy.endpoint)

    proxy.trouble = lambda method, ask: conflicts.pop() if method == "PUT" and conflicts else ask()
    files.save("output", "cat", ".png", b"x")

    assert object_store.keys(f"{prefix}/out") == [f"{prefix}/out/cat_00001_.png"]


def test_answers_that_are_cut_short_are_put_together(open_files, failing):
    data = os.urandom(3000)
    proxy = failing()
    files = open_files(proxy.endpoint, object_patience=0.5)
    made = files.save("output", "cat", ".png", data)

    proxy.trouble = lambda method, ask: cut(ask(), 0) if method == "GET" else ask()
    with pytest.raises(ObjectStoreError, match="sends less of an object than there is"):
        files.path(made)
    proxy.trouble = lambda method, ask: cut(ask(), 999) if method == "GET" else ask()

    assert files.path(made).read_bytes() == data


def test_a_store_that_sends_a_byte_now_and_then_is_given_up(
    open_files, failing, monkeypatch, object_store, prefix
):
    monkeypatch.setattr(bucket, "_SHORT", 0.5)
    proxy = failing()
    slot = SaveSlot("run", "9")
    files = replace(open_files(proxy.endpoint, object_patience=0.5), naming=Names(), slot=slot)
    first = files.save("output", "dog", ".png", b"first")
    again = replace(files, slot=SaveSlot("run", "10"))

    proxy.pause = 10.0
    with pytest.raises(ObjectStoreError, match="does not answer in time"):
        files.path(first)
    with pytest.raises(ObjectStoreError, match="does not answer in time"):
        again.save("output", "cat", ".png", b"x")
    proxy.pause = 0.0
    again.save("output", "cat", ".png", b"x")  # the run is tried again

    assert files.path(first).read_bytes() == b"first"
    assert object_store.keys(f"{prefix}/out") == [
        f"{prefix}/out/cat_00001_.png",
        f"{prefix}/out/dog_00001_.png",
    ]


def test_parts_whose_last_answer_is_lost_are_one_file(
    open_files, failing, monkeypatch, object_store, prefix
):
    monkeypatch.setattr(body, "AT_ONCE", 6 * 2**20)
    data, proxy, posts = os.urandom(7 * 2**20), failing(), []
    files = open_files(proxy.endpoint)

    def lose_the_last(method, ask):
        answer = ask()
        posts.append(method)
        # S3 begins and ends an upload by POST; one that has ended is not known any more
        is_last = method == "POST" and posts.count("POST") == 2
        return refusal("404 Not Found", "NoSuchUpload") if is_last else answer

    proxy.trouble = lose_the_last
    made = files.save("output", "film", ".mp4", iter([data]))
    proxy.trouble = None

    assert made.name == "film_00001_.mp4"
    assert object_store.keys(f"{prefix}/out") == [f"{prefix}/out/film_00001_.mp4"]
    assert files.path(made).read_bytes() == data


def test_a_bucket_that_is_deleted_is_told_and_may_come_back(open_files, object_store, prefix):
    name = f"gone-{prefix}"
    object_store.make(name)
    files = open_files(output_dir=object_store.place("out", name))
    made = files.save("output", "cat", ".png", b"x")

    object_store.remove(name)
    # SeaweedFS says that it may not be made anew
    told = "no such bucket|no such container|being deleted|may not do that"
    with pytest.raises(ObjectStoreError, match=told) as caught:
        files.save("output", "cat", ".png", b"x")
    assert files.users.find_artifact(made) is None
    object_store.make(name)

    assert re.search(name, f"{caught.value}")
    assert files.save("output", "cat", ".png", b"again").name == "cat_00002_.png"
