"""Many packs are described two at a time, and what all of them need is imported once."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nodegraph.errors import PackError
from nodegraph.packs.catalog import PackSource
from nodegraph.packs.describer import Describer, PackReader
from tests.nodegraph.install_pack import install

PATIENCE = 30.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, which only Linux does")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packs, and of a module that notes each process that imports it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    (folder / "heavy.py").write_text(
        "import os, pathlib\n"
        f"pathlib.Path({str(tmp_path)!r}, f'imported-{{os.getpid()}}').touch()\n"
    )
    return folder


def source(site, name, **more):
    """A pack of that name that needs what is heavy."""
    install(site, name, nodes=[name.title()], **more)
    return PackSource(name, f"{name}_pack", preload=("heavy",))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(answer):
    end = time.monotonic() + PATIENCE
    while not answer():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_packs_need_is_imported_once_by_each_of_two(site, tmp_path):
    sources = [source(site, name) for name in ("one", "two", "three", "four")]

    found: Any = {e.name: result for e, result in PackReader(tmp_path / "c", 30).read(sources)}

    assert {name: [spec.name for spec in found[name].nodes] for name in found} == {
        "one": ["One"],
        "two": ["Two"],
        "three": ["Three"],
        "four": ["Four"],
    }
    assert 1 <= len(list(tmp_path.glob("imported-*"))) <= 2


def test_a_pack_that_breaks_hurts_no_other(site):
    bad = source(site, "bad", init="import os; os.write(1, b'bye'); os._exit(3)")
    slow = source(site, "slow", init="import time; print('a' * 10**6); time.sleep(60)")
    fails = source(site, "fails", init="print('well'); 1 / 0")
    describer = Describer()

    with pytest.raises(PackError, match=r"with exit code 3\. It printed: 'bye'"):
        describer.describe(bad, PATIENCE)
    with pytest.raises(PackError, match=r"more than 0\.5 s"):
        describer.describe(slow, 0.5)
    with pytest.raises(PackError, match=r"division by zero\. It printed: 'well'"):
        describer.describe(fails, PATIENCE)
    assert describer.describe(source(site, "good"), PATIENCE).name == "good"
    describer.close()


def test_closing_ends_a_description_and_all_that_it_started(site, tmp_path):
    init = (
        "import os, pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"part = pathlib.Path({str(tmp_path)!r}, 'part')\n"
        "part.write_text(f'{os.getpid()} {child.pid}')\n"
        "part.rename(part.with_name('pids'))\n"
        "time.sleep(60)\n"
    )
    reader = PackReader(tmp_path / "cache", 60)
    sources = [source(site, "hangs", init=init), source(site, "next"), source(site, "more")]
    found = []
    thread = threading.Thread(target=lambda: found.extend(reader.read(sources)))
    thread.start()
    until((tmp_path / "pids").exists)

    reader.close()
    thread.join(PATIENCE)

    assert not thread.is_alive()
    for pid in (tmp_path / "pids").read_text().split():
        until(lambda pid=pid: not is_alive(int(pid)))
    assert "hangs" not in {each.name for each, _ in found}


def test_the_death_of_the_process_that_forks_is_survived(site):
    describer = Describer()
    assert describer.describe(source(site, "first"), PATIENCE).name == "first"
    server = describer._server
    assert server is not None
    os.kill(server.pid, 9)

    assert describer.describe(source(site, "second"), PATIENCE).name == "second"
    assert describer.describe(source(site, "third"), PATIENCE).name == "third"
    describer.close()
    server.wait()
