"""What `nodegraph serve` is told: who may reach it, and what it computes on."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nodegraph.errors import SettingsError
from nodegraph.runtime.driver import ALLOCATOR, AMD, INTEL, NVIDIA, VARIABLE
from nodegraph.settings.server import ServerSettings
from server.lifecycle.data_folder import lock_data_folder
from server.lifecycle.settings_check import tokens_of
from server.lifecycle.sockets import open_sockets
from server.web.tokens import NOBODY
from server.workers.devices import choose_devices

TOKEN = "sixteen-or-more-characters"


def refused(*flags, cwd):
    """What `nodegraph serve` says when it does not begin."""
    command = [sys.executable, "-m", "nodegraph", "serve", "--data-dir", str(cwd / "d"), *flags]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return done.stderr


def shown(devices):
    return [(device.name, device.environment[VARIABLE]) for device in devices]


@pytest.fixture
def cards(tmp_path):
    """A driver that shows three cards."""
    for name in ("nvidia0", "nvidia1", "nvidia5", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "", "example.org", "192.168.0.1"])
def test_an_address_that_others_reach_needs_a_token(host):
    with pytest.raises(SettingsError, match="needs a token"):
        tokens_of(ServerSettings(host=host))

    assert tokens_of(ServerSettings(host=host, token=TOKEN)).owner(TOKEN) == NOBODY


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_an_address_of_this_machine_alone_needs_none(host):
    assert not tokens_of(ServerSettings(host=host))


def test_every_card_gets_a_worker_that_sees_no_other(cards):
    assert shown(choose_devices((), {}, cards)) == [
        ("cuda:0", "0"),
        ("cuda:1", "1"),
        ("cuda:2", "2"),
    ]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, "expandable_segments:True"),
        ({"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}, None),
        ({"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}, None),
    ],
)
def test_the_memory_that_a_worker_reserves_may_grow_unless_the_user_says_else(cards, own, expected):
    card, host = choose_devices(("cuda:0", "cpu"), own, cards)

    assert card.environment.get(ALLOCATOR) == expected
    assert ALLOCATOR not in host.environment


def test_on_a_board_that_shares_its_memory_the_allocator_is_left_alone(cards):
    (cards / "nvmap").touch()

    assert not any(ALLOCATOR in each.environment for each in choose_devices((), {}, cards))


def test_torch_knows_the_setting_of_its_allocator():
    script = "import torch; print(torch._C._accelerator_getAllocatorSettings())"
    own = {**os.environ, **NVIDIA.allocation({}, Path("/none"))}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=own
    )

    assert (done.stdout.strip(), done.stderr) == ("expandable_segments:True", "")


def test_cards_are_counted_among_those_that_the_server_sees(cards):
    devices = choose_devices(("cuda:1", "cpu", "cpu"), {VARIABLE: "2,GPU-abc, 0,-1,1"}, cards)

    assert shown(devices) == [("cuda:1", "GPU-abc"), ("cpu", ""), ("cpu#2", "")]


@pytest.mark.parametrize(
    ("driver", "second", "hidden"),
    [
        (AMD, {"HIP_VISIBLE_DEVICES": "1"}, {"HIP_VISIBLE_DEVICES": "-1"}),
        (INTEL, {"ZE_AFFINITY_MASK": "1"}, {"ONEAPI_DEVICE_SELECTOR": "opencl:cpu"}),
    ],
)
def test_cards_of_other_makers_are_chosen_likewise(tmp_path, driver, second, hidden):
    (tmp_path / "dri").mkdir()
    for name in ("kfd", "dri/card0", "dri/renderD128", "dri/renderD129"):
        (tmp_path / name).touch()

    every = choose_devices((), {}, tmp_path, driver)
    chosen = choose_devices((f"{driver.type}:1", "cpu"), {}, tmp_path, driver)

    assert [device.name for device in every] == [f"{driver.type}:0", f"{driver.type}:1"]
    assert [device.environment for device in chosen] == [second, hidden]


def test_without_a_card_there_is_one_worker_on_what_torch_finds(tmp_path):
    (device,) = choose_devices((), {}, tmp_path)

    assert (device.name, device.environment) == ("local", {})


@pytest.mark.parametrize("name", ["cuda:3", "cuda:-1", "cuda", "gpu", "cuda:0x1"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(cards, name):
    with pytest.raises(SettingsError, match=name) as caught:
        choose_devices((name,), {}, cards)

    assert caught.value.hint == "Available: cpu, cuda:0, cuda:1, cuda:2."


@pytest.mark.parametrize(
    ("host", "said"),
    [("192.0.2.1", "no address of this machine|cannot assign"), ("no.invalid", "no such host")],
)
def test_an_address_of_some_other_machine_is_told(host, said):
    with pytest.raises(SettingsError, match=said) as caught:
        asyncio.run(open_sockets(host, 0))

    assert "--host" in caught.value.hint


def test_every_address_of_a_host_is_listened_on():
    found = asyncio.run(open_sockets("localhost", 0))

    for each in found:
        socket.create_connection(each.getsockname()[:2]).close()
        each.close()


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/x"])
def test_a_data_folder_that_can_not_be_made_is_told(tmp_path, name):
    (tmp_path / "file").touch()

    with (
        pytest.raises(SettingsError, match="the data folder") as caught,
        lock_data_folder(tmp_path / name),
    ):
        pass
    assert "--data-dir" in caught.value.hint


def test_a_port_that_is_taken_ends_the_command_in_two_lines(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused("--port", port, cwd=tmp_path)

    first, hint = said.splitlines()
    assert f"port {port}: address already in use" in first
    assert "--port" in hint


def test_a_mistake_ends_the_command_before_it_listens(tmp_path):
    file = tmp_path / "nodegraph.toml"
    file.write_text("[server]\nport = 'high'")

    assert "server.port" in refused("--port", "0", cwd=tmp_path)
    file.unlink()
    assert "cuda:77" in refused("--port", "0", "--device", "cuda:77", cwd=tmp_path)
    assert "needs a token" in refused("--port", "0", "--host", "0.0.0.0", cwd=tmp_path)
