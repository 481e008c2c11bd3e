"""A hub on this machine: repositories with commits and branches, served as the real one does.

Large files have their sha256 as `X-Linked-Etag` and are redirected to, small ones their git
sha1; ranges are honoured; `faults` makes it break off, lie, or refuse.
"""

import hashlib
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".ckpt")


@dataclass
class Repo:
    """Commits by id, branches by name."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    licence: str = "openrail++"
    gated: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        text = json.dumps({name: sha256(data) for name, data in files.items()}) + branch
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit


class Hub:
    """The server and what it holds; `asked` is every request so far."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.break_after = 0
        """Send only so many bytes of a large file, then hang up; counts down to never."""
        self.lie: bytes | None = None
        """Sent in place of any large file."""
        self.etag: str | None = None
        self.sha: str | None = None
        self.location: str | None = None
        self.token = "hf_right"
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self})
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def repo(self, name: str, **more) -> Repo:
        return self.repos.setdefault(name, Repo(**more))

    def gets(self) -> list[str]:
        """The ranges of the large files that were asked for."""
        return [span for method, path, span in self.asked if method == "GET" and "/blob/" in path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[0] == "blob":
            self._blob(parts[1])
        elif parts[:2] == ["api", "models"]:
            self._info("/".join(parts[2:4]), parts[5])
        else:
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def _repo(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._refuse(401, "RepoNotFound")
        elif repo.gated and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._refuse(401, "GatedRepo")
        else:
            return repo
        return None

    def _files(self, repo: Repo, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commit = repo.branches.get(revision, revision)
        if commit in repo.commits:
            return commit, repo.commits[commit]
        self._refuse(404, "RevisionNotFound")
        return None

    def _info(self, name: str, revision: str) -> None:
        repo = self._repo(name)
        found = self._files(repo, revision) if repo else None
        if repo is None or found is None:
            return
        commit, files = found
        siblings = []
        for path, data in files.items():
            item: dict[str, object] = {
                "rfilename": path,
                "size": len(data),
                "blobId": _git_sha1(data),
            }
            if path.endswith(LARGE):
                digest = sha256(data)
                item["lfs"] = {"size": len(data), "sha256": digest, "pointerSize": 130}
            siblings.append(item)
        card = {"license": repo.licence}
        info = {"id": name, "sha": self.hub.sha or commit, "siblings": siblings, "cardData": card}
        self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, revision: str, path: str) -> None:
        repo = self._repo(name)
        found = self._files(repo, revision) if repo else None
        if found is None:
            return
        commit, files = found
        if path not in files:
            self._refuse(404, "EntryNotFound")
            return
        data = files[path]
        headers = {"X-Repo-Commit": commit}
        if not path.endswith(LARGE):
            self._send(200, data, headers | {"ETag": f'"{_git_sha1(data)}"'})
            return
        digest = sha256(data)
        linked = {"X-Linked-Etag": f'"{self.hub.etag or digest}"', "X-Linked-Size": str(len(data))}
        location = (
            self.hub.location or f"http://localhost:{self.hub.url.rpartition(':')[2]}/blob/{digest}"
        )
        self._send(302, b"", headers | linked | {"Location": location})

    def _blob(self, digest: str) -> None:
        if "Authorization" in self.headers:
            self._refuse(400, "TokenLeaked")
            return
        every = (
            data
            for repo in self.hub.repos.values()
            for files in repo.commits.values()
            for data in files.values()
        )
        data = next(data for data in every if sha256(data) == digest)
        data = data if self.hub.lie is None else self.hub.lie
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        rest = data[start:]
        span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        if self.hub.break_after:
            cut, self.hub.break_after = self.hub.break_after, 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(206 if start else 200, rest, span)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
