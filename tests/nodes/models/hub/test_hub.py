"""References against a hub on this machine: found, pinned, downloaded, checked, refused."""

import json
import random
from dataclasses import replace

import pytest

from nodegraph.errors import NotHereError, RunCancelledError, SettingsError, WrongHashError
from nodegraph.files.references import read_reference
from nodes.models.hub.errors import (
    HubAccessError,
    HubAnswerError,
    HubChoiceError,
    HubEndpointError,
    HubFileError,
    HubOfflineError,
    HubRepositoryError,
    HubRevisionError,
    HubUnreachableError,
)
from tests.nodes.models.hub.conftest import Watch
from tests.nodes.models.hub.server import sha256

ONE = read_reference("hf://us/ink/ink.safetensors")
WHOLE = read_reference("hf://us/ink")
BIG = random.Random(0).randbytes(12_000_000)
"""More than the client reads at once."""


def test_a_file_is_downloaded_once_and_pinned_to_its_commit(hub, open_hub, watch):
    commit = hub.repo("us/ink").commit({"ink.safetensors": b"ink", "README.md": b"hello"})
    origin = open_hub().fetch(ONE, watch)
    asked = len(hub.asked)
    again = open_hub().fetch(ONE, watch)

    assert origin.path.read_bytes() == b"ink"
    assert origin.path.name == "ink.safetensors"
    assert str(origin.reference) == f"hf://us/ink@{commit}/ink.safetensors"
    assert origin.licence == "openrail++"
    assert again == origin
    assert len(hub.asked) == asked
    assert watch.progressed == [(1, 1)]
    assert [commit[:12] in notice for notice in watch.notices] == [True]


def test_the_client_itself_finds_what_was_downloaded(hub, open_hub, watch, tmp_path):
    from huggingface_hub import try_to_load_from_cache

    commit = hub.repo("us/ink").commit({"ink.safetensors": b"ink"})
    origin = open_hub().fetch(ONE, watch)
    found = try_to_load_from_cache(
        "us/ink", "ink.safetensors", cache_dir=tmp_path / "hub", revision=commit
    )

    assert found == str(origin.path)


def test_what_the_client_has_downloaded_needs_no_network(hub, open_hub, watch, tmp_path):
    from huggingface_hub import hf_hub_download

    commit = hub.repo("us/ink").commit({"ink.safetensors": b"ink"})
    place = hf_hub_download(
        "us/ink", "ink.safetensors", cache_dir=tmp_path / "hub", endpoint=hub.url
    )
    origin = open_hub(hub_offline=True).fetch(ONE, watch)

    assert str(origin.path) == place
    assert origin.reference.revision == commit


def test_a_pinned_reference_stays_when_its_branch_moves_until_it_is_pulled(hub, open_hub, watch):
    repo = hub.repo("us/ink")
    first = repo.commit({"ink.safetensors": b"old"})
    assert open_hub().fetch(ONE, watch).path.read_bytes() == b"old"
    second = repo.commit({"ink.safetensors": b"new"})

    assert open_hub().fetch(ONE, watch).path.read_bytes() == b"old"
    assert open_hub().pin(ONE).revision == first
    assert open_hub().pull(ONE, watch).path.read_bytes() == b"new"
    assert open_hub().pin(ONE).revision == second


def test_a_commit_means_what_it_did_though_the_branch_moved(hub, open_hub, watch):
    repo = hub.repo("us/ink")
    first = repo.commit({"ink.safetensors": b"old"})
    repo.commit({"ink.safetensors": b"new"})
    reference = read_reference(f"hf://us/ink@{first}/ink.safetensors")

    assert open_hub().fetch(reference, watch).path.read_bytes() == b"old"


def test_asking_for_the_pin_downloads_nothing(hub, open_hub):
    commit = hub.repo("us/ink").commit({"ink.safetensors": b"ink"})
    pinned = open_hub().pin(WHOLE)

    assert str(pinned) == f"hf://us/ink@{commit}/ink.safetensors"
    assert open_hub().find_local(WHOLE) is None
    assert hub.gets() == []


def test_a_cancelled_download_goes_on_where_it_stopped(hub, open_hub, watch):
    hub.repo("us/ink").commit({"ink.safetensors": BIG})
    with pytest.raises(RunCancelledError):
        open_hub().fetch(ONE, Watch(cancel_at=2))
    assert open_hub().find_local(ONE) is None
    origin = open_hub().fetch(ONE, watch)

    assert origin.path.read_bytes() == BIG
    assert hub.gets() == ["", "bytes=10485760-"]
    assert watch.progressed == [(12, 12)]


def test_a_connection_that_breaks_is_taken_up_again(hub, open_hub, watch):
    hub.repo("us/ink").commit({"ink.safetensors": BIG})
    hub.break_after = 11_000_000
    origin = open_hub().fetch(ONE, watch)

    assert origin.path.read_bytes() == BIG
    assert len(hub.gets()) == 2


def test_content_that_is_not_what_the_hub_announced_is_not_kept(hub, open_hub, watch, tmp_path):
    hub.repo("us/ink").commit({"ink.safetensors": b"right"})
    hub.lie = b"wrong"
    with pytest.raises(WrongHashError) as caught:
        open_hub().fetch(ONE, watch)

    assert sha256(b"right") in str(caught.value)
    assert sha256(b"wrong") in str(caught.value)
    assert not list((tmp_path / "hub").rglob("*/blobs/*"))
    hub.lie = None
    assert open_hub().fetch(ONE, watch).path.read_bytes() == b"right"


def test_a_hub_that_changes_a_pinned_file_is_caught(hub, open_hub, watch, tmp_path):
    hub.repo("us/ink").commit({"ink.safetensors": b"right"})
    open_hub().pin(ONE)
    lock = tmp_path / "nodegraph.lock"
    lock.write_text(lock.read_text().replace(sha256(b"right"), sha256(b"other")))

    with pytest.raises(WrongHashError, match="the lock file says"):
        open_hub().fetch(ONE, watch)


def test_a_gated_repository_says_what_to_do(hub, open_hub, watch):
    hub.repo("us/ink", gated=True).commit({"ink.safetensors": b"ink"})
    with pytest.raises(HubAccessError) as caught:
        open_hub().fetch(ONE, watch)

    assert f"{hub.url}/us/ink" in caught.value.hint
    assert "HF_TOKEN" in caught.value.hint


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_a_token_opens_a_gated_repository_and_is_not_sent_to_its_storage(
    hub, open_hub, watch, monkeypatch, by
):
    hub.repo("us/ink", gated=True).commit({"ink.safetensors": b"ink"})
    if by == "environment":
        monkeypatch.setenv("HF_TOKEN", hub.token)
    sources = open_hub(hub_token=hub.token if by == "setting" else "")

    assert sources.fetch(ONE, watch).path.read_bytes() == b"ink"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("hf://us/none/ink.safetensors", HubRepositoryError),
        ("hf://us/ink@v9/ink.safetensors", HubRevisionError),
        ("hf://us/ink/inc.safetensors", HubFileError),
        ("hf://us/ink/vae", HubFileError),
        ("hf://us/ink/README.md", HubChoiceError),
        ("hf://us/two", HubChoiceError),
        ("hf://us/bin", HubChoiceError),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, open_hub, watch, text, error):
    hub.repo("us/ink").commit({"ink.safetensors": b"ink", "README.md": b""})
    hub.repo("us/two").commit({"a.safetensors": b"a", "b.safetensors": b"b"})
    hub.repo("us/bin").commit({"model.bin": b"a"})
    with pytest.raises(error) as caught:
        open_hub().fetch(read_reference(text), watch)

    assert caught.value.hint


def test_a_near_miss_names_the_file_that_is_there(hub, open_hub, watch):
    hub.repo("us/ink").commit({"ink.safetensors": b"ink"})

    with pytest.raises(HubFileError, match=r"Did you mean 'ink\.safetensors'"):
        open_hub().fetch(read_reference("hf://us/ink/inc.safetensors"), watch)


def test_offline_uses_what_is_here_and_asks_nobody(hub, open_hub, watch):
    hub.repo("us/ink").commit({"ink.safetensors": b"ink", "x.txt": b""})
    with pytest.raises(HubOfflineError, match="models pull"):
        open_hub(hub_offline=True).fetch(WHOLE, watch)
    assert hub.asked == []
    open_hub().fetch(WHOLE, watch)
    asked = len(hub.asked)

    assert open_hub(hub_offline=True).fetch(WHOLE, watch).path.read_bytes() == b"ink"
    assert len(hub.asked) == asked


def test_a_hub_that_is_not_there_is_one_clear_error(open_hub, watch):
    with pytest.raises(HubUnreachableError, match=r"127\.0\.0\.1:9"):
        open_hub(hub_endpoint="http://127.0.0.1:9").fetch(ONE, watch)


@pytest.mark.parametrize("endpoint", ["http://example.org", "ftp://127.0.0.1", "file:///etc", ""])
def test_only_https_or_this_machine_is_a_hub(open_hub, watch, endpoint):
    with pytest.raises(HubEndpointError):
        open_hub(hub_endpoint=endpoint).fetch(ONE, watch)


@pytest.mark.parametrize(
    "name", ["../evil.safetensors", "/evil.safetensors", "a\\b.safetensors", "C:/a", "a//b", "a\nb"]
)
def test_a_listing_with_names_that_lead_elsewhere_is_refused(hub, open_hub, watch, name):
    hub.repo("us/ink").commit({"ink.safetensors": b"ink", name: b"evil"})

    with pytest.raises(HubAnswerError):
        open_hub().fetch(ONE, watch)


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("etag", "../../../evil"),
        ("etag", "a" * 63),
        ("sha", "../../evil"),
        ("sha", None),
        ("location", "http://169.254.169.254/latest"),
        ("location", "file:///etc/passwd"),
    ],
)
def test_answers_that_lead_elsewhere_are_refused(hub, open_hub, watch, tmp_path, fault, value):
    hub.repo("us/ink").commit({"ink.safetensors": b"ink"})
    setattr(hub, fault, value or "main")

    with pytest.raises(HubAnswerError):
        open_hub().fetch(ONE, watch)
    assert hub.gets() == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"hf://us/ink@main": 1}',
        '{"hf://us/ink@main": {"commit": "../..", "path": "a", "files": {"a": ""}}}',
        f'{{"hf://us/ink@main": {{"commit": "{"a" * 40}", "path": "../a", "files": {{}}}}}}',
        f'{{"hf://us/ink@main": {{"commit": "{"a" * 40}", "files": {{"/etc/passwd": ""}}}}}}',
        f'{{"hf://us/ink@main": {{"commit": "{"a" * 40}", "files": {{"a": "xyz"}}}}}}',
    ],
)
def test_a_damaged_lock_file_is_one_clear_error(open_hub, tmp_path, text):
    (tmp_path / "nodegraph.lock").write_text(text)

    with pytest.raises(SettingsError, match=r"nodegraph\.lock is damaged"):
        open_hub().find_local(WHOLE)


def test_the_lock_file_says_what_each_reference_means(hub, open_hub, tmp_path):
    commit = hub.repo("us/ink").commit({"ink.safetensors": b"ink"})
    open_hub().pin(WHOLE)

    assert json.loads((tmp_path / "nodegraph.lock").read_text()) == {
        "hf://us/ink@main": {
            "commit": commit,
            "path": "ink.safetensors",
            "files": {"ink.safetensors": sha256(b"ink")},
            "licence": "openrail++",
        }
    }


def test_a_diffusers_repository_is_a_folder_of_what_is_needed(hub, open_hub, watch):
    wanted = {
        "model_index.json": b"{}",
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": b"unet",
        "text_encoder/config.json": b"{ }",
        "text_encoder/model-00001-of-00002.safetensors": b"1",
        "text_encoder/model-00002-of-00002.safetensors": b"2",
        "text_encoder/model.safetensors.index.json": b"[]",
        "vae/config.json": b"{  }",
        "vae/diffusion_pytorch_model.fp16.safetensors": b"vae",
        "tokenizer/merges.txt": b"a b",
        "tokenizer/vocab.json": b"[1]",
    }
    unwanted = {
        "README.md": b"#",
        "picture.png": b"p",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "unet/diffusion_pytorch_model.lora.safetensors": b"lora",
        "safety_checker/model.safetensors": b"safe",
    }
    hub.repo("us/pipe").commit(wanted | unwanted)
    place = open_hub().fetch(read_reference("hf://us/pipe"), watch).path

    found = {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*.*")}
    assert found == wanted


def test_a_folder_of_a_repository_means_the_file_in_it(hub, open_hub, watch):
    files = {"model_index.json": b"{}", "vae/config.json": b"{}", "vae/v.safetensors": b"vae"}
    hub.repo("us/pipe").commit(files | {"one.safetensors": b"one"})

    def path(text):
        return open_hub().fetch(read_reference(text), watch).path.name

    assert path("hf://us/pipe/vae") == "v.safetensors"
    assert path("hf://us/pipe") == "one.safetensors"
    assert (
        path("hf://us/pipe/model_index.json")
        == open_hub().pin(read_reference("hf://us/pipe")).revision
    )


def test_two_at_once_download_it_once(hub, open_hub):
    from concurrent.futures import ThreadPoolExecutor

    hub.repo("us/ink").commit({"ink.safetensors": BIG})
    with ThreadPoolExecutor(4) as pool:
        origins = list(pool.map(lambda _: open_hub().fetch(ONE, Watch()), range(4)))

    assert len({origin.path for origin in origins}) == 1
    assert hub.gets() == [""]


def test_a_name_with_a_hash_is_checked(hub, files, watch, tmp_path):
    path = tmp_path / "models/loras/ink.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"ink")
    hub.repo("us/ink").commit({"ink.safetensors": b"ink"})
    right, wrong = sha256(b"ink"), sha256(b"other")
    watched = replace(files, watch=watch)

    for name in ("ink.safetensors", str(ONE)):
        assert watched.model("loras", f"{name}#sha256={right}").read_bytes() == b"ink"
        with pytest.raises(WrongHashError) as caught:
            watched.model("loras", f"{name}#sha256={wrong}")
        assert caught.value.details == {"expected": wrong, "found": right}


def test_nothing_is_downloaded_unless_somebody_watches(hub, files):
    hub.repo("us/ink").commit({"ink.safetensors": b"ink"})

    with pytest.raises(NotHereError):
        files.model("loras", str(ONE))
    assert hub.asked == []


def test_content_is_named_without_downloading_it(hub, files):
    commit = hub.repo("us/ink").commit({"ink.safetensors": b"ink"})

    assert files.models.content("loras", "hf://us/ink") == f"hf://us/ink@{commit}/ink.safetensors"
    assert hub.gets() == []
