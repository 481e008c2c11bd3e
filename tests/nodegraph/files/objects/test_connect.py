"""Opening a store: the extra, the endpoint, kinds of keys, and addresses that are signed."""

import io
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from nodegraph.errors import ObjectStoreError, SettingsError, UnsafePathError
from nodegraph.files.objects import connect
from nodegraph.settings.settings import Settings

ODD = ["ä ö.png", "a+b&c=d?e#f%41.png", "a%2fb.png", "日本.png", "x y/ z .png", "a'b\"c`{}.png"]
WRONG_ENDPOINTS = [
    "not an address",
    "htp:/x",
    "http://127.0.0.1:80:80/x",
    "http://user:canary-pass@host/",
    "http://ä.example/",
    "ftp://host/",
]


@pytest.mark.parametrize("folder", ["input_dir", "output_dir", "temp_dir", "models_dir"])
@pytest.mark.parametrize("address", ["s3://bucket/x", "az://container/x"])
def test_without_the_extra_one_line_says_to_install_it(monkeypatch, folder, address):
    monkeypatch.setattr(connect, "find_spec", lambda name: None)
    settings = Settings.read({folder: (address,) if folder == "models_dir" else address}, {})

    with pytest.raises(SettingsError, match="needs the package obstore") as refused:
        settings.files()

    assert address in refused.value.message
    assert "nodegraph[s3]" in refused.value.hint
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["run", "x.json"]])
def test_a_start_without_the_extra_ends_with_that_line(tmp_path, command):
    program = "import sys; sys.modules['obstore'] = None; from nodegraph.cli import main; main()"
    (tmp_path / "x.json").write_text("{}")
    ended = subprocess.run(
        [sys.executable, "-c", program, *command, "--output-dir", "s3://bucket/x"],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
    )

    errors = [line for line in ended.stderr.splitlines() if line.startswith("error")]
    assert ended.returncode != 0
    assert errors == [
        "error: s3://bucket/x needs the package obstore, which is not installed. [bad_settings]"
    ]
    assert "pip install 'nodegraph[s3]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("endpoint", WRONG_ENDPOINTS)
@pytest.mark.parametrize(
    ("address", "variable"),
    [
        ("s3://bucket/x", "AWS_ENDPOINT_URL"),
        ("az://container/x", "AZURE_STORAGE_ENDPOINT"),
        ("s3://bucket/x", "object_endpoint"),
    ],
)
def test_an_endpoint_that_is_none_is_refused_and_not_repeated(
    monkeypatch, address, variable, endpoint
):
    flags = {"output_dir": address}
    if variable == "object_endpoint":
        flags |= {"object_endpoint": endpoint}
    else:
        monkeypatch.setenv(variable, endpoint)

    with pytest.raises(SettingsError, match=f"{variable} is no address of a service") as refused:
        Settings.read(flags, {}).files().check_elsewhere()

    assert endpoint not in str(refused.value)


@pytest.mark.parametrize("text", ["s3://bucket/a\x7fb", "s3://bucket/a\nb", "az://bucket/\x01"])
def test_a_prefix_with_control_characters_is_refused(text):
    with pytest.raises(SettingsError, match="odd characters"):
        Settings.read({"output_dir": text}, {})


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_kept_found_listed_and_read(open_files, name):
    files = open_files()
    folder = files.users.folder("input")

    kept = folder.keep(name, io.BytesIO(name.encode()))

    assert kept == name
    assert folder.names(name.rpartition("/")[0]) == [name]
    assert files.input(name).read_bytes() == name.encode()
    assert [files.save("output", name, ".png", b"x").name for _ in range(2)] == [
        f"{name}_00001_.png",
        f"{name}_00002_.png",
    ]


def test_a_name_with_a_control_character_is_refused(open_files):
    for name in ("a\x7fb", "a\x1fb"):
        with pytest.raises(UnsafePathError):
            open_files().users.folder("input").keep(name, io.BytesIO(b""))


@pytest.mark.parametrize("name", ["plain-1_2.png", "day/a~b.png", *ODD])
def test_a_signed_address_is_right_or_there_is_none(open_files, object_store, name):
    folder = open_files().users.folder("output")
    folder.keep(name, io.BytesIO(name.encode()))

    address = folder.find(name).signed_url(60)

    assert bool(address) == (object_store.scheme == "s3" or name not in ODD)
    if address:
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == name.encode()


def test_a_signed_address_is_for_one_object_and_for_reading(open_files):
    folder = open_files().users.folder("output")
    for name in ("mine.png", "other.png"):
        folder.keep(name, io.BytesIO(b"x"))
    address = folder.find("mine.png").signed_url(60)

    for url, method in [
        (address.replace("mine.png", "other.png"), "GET"),
        (address, "PUT"),
        (address, "DELETE"),
        (address.partition("?")[0], "GET"),
    ]:
        headers = {"x-ms-blob-type": "BlockBlob"}  # Azure wants it; S3 knows nothing of it
        data = b"" if method == "PUT" else None
        request = urllib.request.Request(url, data, headers, method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        refused.value.close()
        assert refused.value.code in (401, 403, 404)


@pytest.mark.slow
@pytest.mark.parametrize("object_store", ["Azure"], indirect=True)
def test_a_sas_key_opens_a_container_but_signs_nothing(
    open_files, object_store, monkeypatch, failing
):
    sas = object_store.sas("rwlac")
    signature = sas.rpartition("sig=")[2]
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", sas)
    files = open_files()

    files.check_elsewhere()
    assert files.input(f"{files.save('output', 'a', '.png', b'x').name} [output]").exists()
    with pytest.raises(SettingsError, match=r"'server\.signed_urls'.*SAS key can not") as refused:
        files.check_elsewhere(signed=True)
    away = open_files(failing(every=1).endpoint, object_patience=0.3)
    with pytest.raises(ObjectStoreError) as silent:
        away.save("output", "a", ".png", b"x")
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", object_store.sas("rl"))
    with pytest.raises(SettingsError, match="may not do that") as lacking:
        open_files().check_elsewhere()

    told = "".join(str(error.value) for error in (refused, silent, lacking))
    assert signature not in told
    assert "sig=" not in told
