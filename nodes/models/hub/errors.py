"""Errors of model references and of the hub that they name."""

from collections.abc import Sequence

from nodegraph.errors import NodeGraphError, nearest
from nodegraph.files.references import HubReference

_SHOWN = 5


class HubError(NodeGraphError):
    """The hub could not provide what a reference names; the base of the classes below."""

    code = "hub_error"


class HubOfflineError(HubError):
    """A file is not downloaded, and offline mode forbids the network."""

    code = "hub_offline"

    def __init__(self, reference: HubReference) -> None:
        super().__init__(
            f"{reference} is not downloaded, and offline mode is on.",
            hint=f"Go online once and run: nodegraph models pull {reference}."
            " Offline mode is HF_HUB_OFFLINE or the setting hub_offline.",
        )


class HubUnreachableError(HubError):
    """The hub does not answer, or answers with an internal error."""

    code = "hub_unreachable"

    def __init__(self, reference: HubReference, endpoint: str, reason: str) -> None:
        super().__init__(
            f"{reference} cannot be downloaded from {endpoint}: {reason}.",
            hint="Try again: the part already downloaded is kept, and the download resumes there.",
        )


class HubAccessError(HubError):
    """The repository is gated or private, and this user has no access."""

    code = "hub_access"

    def __init__(self, reference: HubReference, endpoint: str) -> None:
        super().__init__(
            f"the hub refuses access to {reference.repository}: it is gated or private, and you"
            " have no access, or your token is not valid.",
            hint=f"Accept its conditions at {endpoint}/{reference.repository}, then set HF_TOKEN"
            " (or the setting hub_token) to a token that may read it.",
        )


class HubRepositoryError(HubError):
    """There is no such repository."""

    code = "hub_repository_not_found"

    def __init__(self, reference: HubReference) -> None:
        super().__init__(
            f"the hub has no repository {reference.repository!r}, or none that you may see.",
            hint="Check owner and name. A private one needs a token that may read it: set HF_TOKEN,"
            " or the setting hub_token.",
        )


class HubRevisionError(HubError):
    """The repository has no such branch, tag or commit."""

    code = "hub_revision_not_found"

    def __init__(self, reference: HubReference) -> None:
        super().__init__(
            f"{reference.repository} has no revision {reference.revision!r}.",
            hint="Name a branch, a tag or a whole commit id, or leave it out for main.",
        )


class HubFileError(HubError):
    """The repository has no such file or folder."""

    code = "hub_file_not_found"

    def __init__(self, reference: HubReference, names: Sequence[str]) -> None:
        wanted = [name for name in names if name.endswith(".safetensors")]
        there = (
            f"There: {', '.join(wanted[:_SHOWN])}." if wanted else "It has no .safetensors file."
        )
        super().__init__(
            f"{reference.repository} has no {reference.path!r} at {reference.revision}.",
            hint=nearest(reference.path, names) or there,
        )


class HubChoiceError(HubError):
    """A reference names a repository or folder from which no single file can be chosen."""

    code = "hub_ambiguous"

    def __init__(self, reference: HubReference, names: Sequence[str]) -> None:
        what = (
            f"has {len(names)} files that could be meant" if names else "has no .safetensors file"
        )
        some = ", ".join(str(reference.at(reference.revision, n)) for n in names[:_SHOWN])
        hint = f"Name one of them: {some}{', …' if len(names) > _SHOWN else ''}."
        other = "Only safetensors are taken from a hub; look for a repository that has them."
        super().__init__(f"{reference} {what}.", hint=hint if names else other)


class HubAnswerError(HubError):
    """The hub's answer is malformed or unsafe."""

    code = "hub_bad_answer"

    def __init__(self, reference: HubReference, endpoint: str, what: str) -> None:
        super().__init__(
            f"{endpoint} gives an unusable answer for {reference}: {what}.",
            hint="Check hub_endpoint (HF_ENDPOINT), and any proxy between you and the hub.",
        )


class HubEndpointError(HubError):
    """The endpoint is no HTTPS address."""

    code = "hub_endpoint"

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            f"the hub's address {endpoint!r} is refused.",
            hint="hub_endpoint (HF_ENDPOINT) must begin with https://; plain http is for"
            " this machine only.",
        )
