"""Requests to the hub through its own client, `huggingface_hub`; no other module imports it."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import (
    HfApi,
    get_hf_file_metadata,  # pyright: ignore[reportUnknownVariableType]
    hf_hub_url,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (
    build_hf_headers,  # pyright: ignore[reportUnknownVariableType]
)

from nodegraph.errors import NodeGraphError
from nodegraph.files.references import HubReference, is_commit, is_sha256
from nodes.models.hub.errors import (
    HubAccessError,
    HubAnswerError,
    HubEndpointError,
    HubError,
    HubFileError,
    HubOfflineError,
    HubRepositoryError,
    HubRevisionError,
    HubUnreachableError,
)
from nodes.models.hub.lockfile import is_plain

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TIMEOUT = 10.0
_REFUSED = (401, 403)
_PLAIN: Mapping[type[Exception], Callable[[HubReference], HubError]] = {
    OfflineModeIsEnabled: HubOfflineError,
    RepositoryNotFoundError: HubRepositoryError,
    RevisionNotFoundError: HubRevisionError,
    EntryNotFoundError: lambda reference: HubFileError(reference, []),
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at a revision, as described by the hub."""

    commit: str
    files: Mapping[str, str]
    """The sha256 of each file, or nothing if it is none of the large ones."""
    licence: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A file, as described by the hub."""

    url: str
    headers: Mapping[str, str]
    etag: str
    """The sha256, or for small files the sha1 that git gives them."""
    size: int | None


class Client:
    """A client of one hub.

    Args:
        endpoint: its address; HTTPS, or this machine.
        token: the user's access token; the client's own (`HF_TOKEN`, a login) if empty.

    Raises:
        HubEndpointError: the address is refused.
    """

    def __init__(self, endpoint: str, token: str = "") -> None:
        self.endpoint = endpoint.rstrip("/")
        self.token = token or None
        self._local = (urlsplit(self.endpoint).hostname or "") in _LOOPBACK
        if not self._is_allowed(self.endpoint):
            raise HubEndpointError(endpoint)

    def repository(self, reference: HubReference) -> Repository:
        """Return the commit, the files and the licence of the repository.

        Raises:
            HubError: the hub does not have it, or does not answer.
        """
        api = HfApi(endpoint=self.endpoint, token=self.token)
        with self._translate_errors(reference):
            info = api.model_info(
                reference.repository,
                revision=reference.revision,
                files_metadata=True,
                timeout=_TIMEOUT,
            )
        commit = info.sha or ""
        files = {item.rfilename: _sha256(item) for item in info.siblings or ()}
        if not is_commit(commit) or (reference.is_fixed and commit != reference.revision):
            raise HubAnswerError(reference, self.endpoint, f"the commit is {commit!r}")
        unsafe = next((name for name in files if not is_plain(name)), None)
        if unsafe is not None:
            raise HubAnswerError(reference, self.endpoint, f"a file is called {unsafe!r}")
        licence = info.card_data.license if info.card_data else None
        return Repository(commit, files, licence if isinstance(licence, str) else "")

    def remote(self, reference: HubReference) -> Remote:
        """Return the address of a file; the reference's revision is a commit.

        Raises:
            HubError: the hub does not have it, or does not answer.
        """
        url = hf_hub_url(
            reference.repository,
            reference.path,
            revision=reference.revision,
            endpoint=self.endpoint,
        )
        with self._translate_errors(reference):
            found = get_hf_file_metadata(
                url, token=self.token, timeout=_TIMEOUT, endpoint=self.endpoint
            )
        etag = found.etag or ""
        if not (is_commit(etag) or is_sha256(etag)):
            raise HubAnswerError(reference, self.endpoint, f"the ETag is {etag!r}")
        if found.commit_hash not in (None, reference.revision):
            raise HubAnswerError(reference, self.endpoint, f"the commit is {found.commit_hash!r}")
        if not self._is_allowed(found.location):
            raise HubAnswerError(reference, self.endpoint, f"the file lies at {found.location!r}")
        headers: dict[str, str] = build_hf_headers(token=self.token)
        if urlsplit(found.location).netloc != urlsplit(self.endpoint).netloc:
            headers.pop("authorization", None)  # a token is for the hub, not for its storage
        return Remote(found.location, headers, etag, found.size)

    @contextmanager
    def _translate_errors(self, reference: HubReference) -> Generator[None]:
        """Turn the client's exceptions into `HubError`s."""
        try:
            yield
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, HFValidationError) as error:
            self.refuse(reference, error)

    def refuse(self, reference: HubReference, error: Exception) -> NoReturn:
        """Raise the `HubError` for an exception of the client.

        Raises:
            HubError: always.
        """
        raise self._meaning(reference, error) from error

    def _meaning(self, reference: HubReference, error: Exception) -> NodeGraphError:
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
        if isinstance(error, GatedRepoError):
            return HubAccessError(reference, self.endpoint)
        for kind, ours in _PLAIN.items():
            if isinstance(error, kind):
                return ours(reference)
        if status in _REFUSED:
            return HubAccessError(reference, self.endpoint)
        reason = f"HTTP {status}" if status else str(error) or type(error).__name__
        return HubUnreachableError(reference, self.endpoint, reason)

    def _is_allowed(self, url: str) -> bool:
        """Return True for an address to fetch from: HTTPS, or this machine if the hub is here."""
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            return True
        return parts.scheme == "http" and self._local and parts.hostname in _LOOPBACK


def _sha256(item: "RepoSibling") -> str:
    found = item.lfs.sha256 if item.lfs else ""
    return found if is_sha256(found) else ""
