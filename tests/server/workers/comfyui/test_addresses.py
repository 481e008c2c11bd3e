"""The ComfyUI servers of the settings: names, addresses and headers; and what frames say."""

import json
import struct

import pytest

from nodegraph.errors import SettingsError
from nodegraph.settings.server import ServerSettings
from nodegraph.settings.settings import Settings
from server.workers.comfyui.addresses import read_addresses
from server.workers.comfyui.errors import ComfyAnswerError
from server.workers.comfyui.messages import read_binary, read_text
from server.workers.comfyui.node_types import joined_entry, read_node_types
from server.workers.comfyui.servers import read_or_create_client

JPEG = b"\xff\xd8\xff picture"


def test_names_are_given_or_made_of_host_and_port():
    entries = ("http://127.0.0.1:8188/", "big=https://gpu.lan/comfy")

    found = read_addresses(ServerSettings(comfyui=entries))

    assert [(one.name, str(one.url)) for one in found] == [
        ("127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("big", "https://gpu.lan/comfy"),
    ]


@pytest.mark.parametrize(
    ("entries", "headers", "text"),
    [
        (["ftp://x"], {}, "no http or https address"),
        (["127.0.0.1:8188"], {}, "no http or https address"),
        (["a=http://"], {}, "no http or https address"),
        (["a=http://x:99999"], {}, "no http or https address"),
        (["a=http://u:hunter2@x"], {}, "has a user, a password"),
        (["a=http://x?token=hunter2"], {}, "a query or a fragment"),
        (["a b=http://x"], {}, "no name of a ComfyUI server"),
        (["a=http://x", "a=http://y"], {}, "two ComfyUI servers are called 'a'"),
        (["a=http://x"], {"b": "A: hunter2"}, "no ComfyUI server is called so"),
        (["a=http://x"], {"a": "hunter2"}, "something that is no header"),
        (["a=http://x"], {"a": "A: hunter2\r\nB: c"}, "something that is no header"),
    ],
)
def test_wrong_settings_are_refused_without_their_secrets(entries, headers, text):
    with pytest.raises(SettingsError, match=text) as caught:
        read_addresses(ServerSettings(comfyui=tuple(entries), comfyui_headers=headers))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("slots", "expected"), [("2", [2, 2]), ("b=3", [1, 3]), ("2, a=4", [4, 2])]
)
def test_runs_at_once_are_set_for_all_or_by_name(slots, expected):
    variables = {"NODEGRAPH_SERVER_COMFYUI": "a=http://a, b=http://b"}
    environment = {**variables, "NODEGRAPH_SERVER_COMFYUI_SLOTS": slots}

    found = read_addresses(Settings.read(environment=environment).server)

    assert [one.slots for one in found] == expected


@pytest.mark.parametrize("slots", ["0", "a=x", "c=2"])
def test_wrong_numbers_of_runs_at_once_are_refused(slots):
    variables = {"NODEGRAPH_SERVER_COMFYUI": "a=http://a, b=http://b"}
    environment = {**variables, "NODEGRAPH_SERVER_COMFYUI_SLOTS": slots}

    with pytest.raises(SettingsError, match=r"(?i)comfyui_slots"):
        read_addresses(Settings.read(environment=environment).server)


def test_settings_come_from_the_environment_and_hide_headers():
    environment = {
        "NODEGRAPH_SERVER_COMFYUI": "http://a:1, b=http://b:2",
        "NODEGRAPH_SERVER_COMFYUI_HEADERS": "b=Authorization: Basic c2VjcmV0Og==",
        "NODEGRAPH_SERVER_PREFER": "comfyui",
    }

    server = Settings.read(environment=environment).server

    assert server.comfyui == ("http://a:1", "b=http://b:2")
    assert server.prefer == "comfyui"
    assert "c2VjcmV0" not in repr(server)
    (_, second) = read_addresses(server)
    assert second.headers == {"Authorization": "Basic c2VjcmV0Og=="}
    assert "c2VjcmV0" not in repr(second)


def test_our_id_at_their_servers_stays(tmp_path):
    first = read_or_create_client(tmp_path / "client")

    assert read_or_create_client(tmp_path / "client") == first
    (tmp_path / "client").write_text("none")
    with pytest.raises(SettingsError, match="holds no id"):
        read_or_create_client(tmp_path / "client")


def described(*choices):
    return {"input": {"required": {"name": [[*choices], {"tooltip": "?"}], "n": ["INT", {}]}}}


def test_a_type_that_both_have_offers_the_choices_of_both():
    newer = {"input": {"required": {"name": ["COMBO", {"options": ["c", "a"]}]}}}

    joined = joined_entry(described("a"), described("b", "a"), "main")
    joined = joined_entry(joined, newer, "other")
    joined = joined_entry(joined, {"input": {"required": {"name": "odd"}}}, "third")

    name = [["a", "b", "c"], {"tooltip": "?"}]
    assert joined["input"]["required"] == {"name": name, "n": ["INT", {}]}
    assert joined["comfyui"] == ["main", "other", "third"]


@pytest.mark.parametrize("answer", [[], {}, "x", None])
def test_an_answer_that_describes_nothing_is_refused(answer):
    with pytest.raises(ComfyAnswerError, match="describes no node types"):
        read_node_types(answer, "main", {})


def test_what_can_not_be_read_of_an_answer_is_left_out():
    whole = {"input": {}, "output": []}

    found = read_node_types({"Good": whole, "Bad": 3, "\ud800": whole}, "main", {})

    assert [*found.entries] == [*found.registry.catalog] == ["Good"]


def with_metadata(facts, image=JPEG):
    text = json.dumps(facts).encode()
    return struct.pack(">II", 4, len(text)) + text + image


def test_previews_are_read_with_and_without_metadata():
    facts = {"node_id": "3", "prompt_id": "p", "image_type": "image/jpeg"}
    plain, rich = read_binary(struct.pack(">II", 1, 1) + JPEG), read_binary(with_metadata(facts))

    assert plain is not None
    assert (plain.name, plain.prompt, plain.payload) == ("preview", "", JPEG)
    assert rich is not None
    assert (rich.prompt, rich.text("node_id"), rich.payload) == ("p", "3", JPEG)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0\1",
        struct.pack(">II", 1, 1) + b"<script>",
        struct.pack(">II", 1, 9) + JPEG,
        struct.pack(">II", 3, 1) + b"text",
        struct.pack(">II", 4, 2**31) + b"{}",
        struct.pack(">II", 4, 4) + b"[[[[" + JPEG,
        with_metadata({"image_type": "image/svg+xml"}, b"<svg>"),
    ],
)
def test_frames_that_hold_no_picture_are_nothing(frame):
    assert read_binary(frame) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": 1, "data": {}}', "[" * 100_000])
def test_texts_that_are_no_message_are_nothing(text):
    assert read_text(text) is None
