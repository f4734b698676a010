"""Models on the Hugging Face Hub: ``hf://user/model``, or ``hf://user/model@revision``.

Conventions
-----------
- The client is huggingface_hub (extra ``[hub]``), with its own cache and settings: ``HF_HOME``, ``HF_HUB_OFFLINE``,
  ``HF_ENDPOINT``. A token is only ever the client's own: ``hf auth login`` or ``HF_TOKEN``.
- Only card.json and the files that it names are downloaded, and they are compared with the card's sha256 before
  anything else reads them.
- A revision is a branch, a tag or a commit. A pinned address has a commit, 40 hexadecimal digits: its files never
  change, and once they are in the cache, no request is made.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import __version__
from .card import CARD_FILE, check_file_names, read_card, sha256
from .errors import (
    HubError,
    InputError,
    MissingDependencyError,
    ModelFileError,
    MusicZooError,
    UnknownNameError,
    WriteError,
)

SCHEME = "hf://"

SOURCE_FILE = "hub.json"
"""File beside the card of a model that `musiczoo.registry.pull` copied: its pinned address."""

_ADDRESS = re.compile(r"hf://(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SNAPSHOT = re.compile(r"models--(?P<user>[\w.-]+?)--(?P<name>[\w.-]+)", re.ASCII)
"""Folder of a repository in the client's cache."""

LARGEST_SOURCE = 1 << 12
"""Most bytes of a `SOURCE_FILE`."""


@dataclass(frozen=True)
class Address:
    """A model on the Hub.

    Attributes:
        repo: Repository, ``user/model``.
        revision: Branch, tag or commit; None for the main branch.

    Example:
        >>> from musiczoo.hub import Address
        >>> Address.parse("hf://user/model@v1.0")
        Address(repo='user/model', revision='v1.0')
        >>> str(Address("user/model"))
        'hf://user/model'
    """

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            InputError: If the text is not one.

        Example:
            >>> from musiczoo.hub import Address
            >>> Address.parse("hf://model")
            Traceback (most recent call last):
            musiczoo.errors.InputError: Expected hf://user/model or hf://user/model@revision, got 'hf://model'.
        """
        found = _ADDRESS.fullmatch(text)
        if not found:
            raise InputError(f"Expected hf://user/model or hf://user/model@revision, got {text!r}.")
        return cls(found["repo"], found["revision"])

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, whose files never change."""
        return self.revision is not None and bool(_COMMIT.fullmatch(self.revision))

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_address(name: object) -> bool:
    """Return whether a model's name is an address on the Hub.

    Example:
        >>> from musiczoo.hub import is_address
        >>> is_address("hf://user/model"), is_address("disentangled-classification")
        (True, False)
    """
    return isinstance(name, str) and name.startswith(SCHEME)


def fetch(address: str, cached: bool = False) -> Path:
    """Return the folder of a model of the Hub, in the client's cache; what the cache lacks is downloaded.

    Without a network, the newest cached revision of a branch or tag is used.

    Args:
        address: ``hf://user/model`` or ``hf://user/model@revision``.
        cached: Look only into the cache; no connection is opened.

    Raises:
        InputError: If the address is malformed.
        MissingDependencyError: If huggingface_hub is not installed.
        UnknownNameError: If there is no such repository or revision.
        HubError: If the Hub cannot be reached, or refuses access, and the model is not in the cache.
        ModelFileError: If the repository holds no model of musiczoo, or a file differs from the card.
        CardError: If the card is malformed or of a newer format.
        WriteError: If the cache cannot be written.

    Example:
        >>> from musiczoo.hub import fetch
        >>> fetch("hf://user/model@v1.0")  # doctest: +SKIP
        PosixPath('/home/me/.cache/huggingface/hub/models--user--model/snapshots/0123456789...')
    """
    at = Address.parse(address)
    api = client()
    with _wrap_errors(at, api):
        folder = Path(api.hf_hub_download(at.repo, CARD_FILE, revision=at.revision, local_files_only=cached)).parent
        at = Address(at.repo, folder.name)
        card = read_card(folder)
        check_file_names(card, folder)
        for name in card.files:
            api.hf_hub_download(at.repo, name, revision=at.revision, local_files_only=cached)
        damaged = [name for name, expected in card.files.items() if sha256(folder / name) != expected]
        if damaged and not cached:
            with suppress(ValueError):  # the client's, where the Hub cannot be reached: the cached file stays
                for name in damaged:
                    api.hf_hub_download(at.repo, name, revision=at.revision, force_download=True)
                damaged = [name for name in damaged if sha256(folder / name) != card.files[name]]
    if damaged:
        raise ModelFileError(
            f"{at}: {', '.join(damaged)} differs from the sha256 in the card. With a network, the file was downloaded "
            "again and still differs: use another revision, and tell the author of the model."
        )
    return folder


def source_of(folder: Path) -> str | None:
    """Return the pinned address of a model folder; None if the model is not from the Hub.

    Args:
        folder: A folder of `fetch`, or one that `musiczoo.registry.pull` made.

    Example:
        >>> from musiczoo.hub import source_of
        >>> from musiczoo.registry import find
        >>> source_of(find("disentangled-classification")) is None
        True
    """
    found = _SNAPSHOT.fullmatch(folder.parent.parent.name)
    if found and folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        return str(Address(f"{found['user']}/{found['name']}", folder.name))
    try:
        with (folder / SOURCE_FILE).open("rb") as file:
            at = Address.parse(json.loads(file.read(LARGEST_SOURCE))["source"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(at) if at.pinned else None


def upload(folder: Path, address: str, private: bool | None = None) -> str:
    """Upload a model to the Hub, as one commit on the main branch; a repository that does not exist is made.

    Args:
        folder: Folder with card.json and the files that it names; no other file is uploaded.
        address: ``hf://user/model``.
        private: Make a new repository private. None for the default of the account or organization.

    Returns:
        The pinned address of the commit.

    Raises:
        InputError: If the address is malformed or has a revision.
        MissingDependencyError: If huggingface_hub is not installed.
        HubError: If the Hub cannot be reached or refuses the upload.
        ModelFileError: If a file is missing or differs from the card.

    Example:
        >>> from musiczoo import registry
        >>> from musiczoo.hub import upload
        >>> upload(registry.find("proxy"), "hf://user/proxy")  # doctest: +SKIP
        'hf://user/proxy@0123456789abcdef0123456789abcdef01234567'
    """
    at = target(address)
    card = read_card(folder)
    check_file_names(card, folder)
    api = client()
    with _wrap_errors(at, api):
        api.create_repo(at.repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=at.repo,
            folder_path=folder,
            allow_patterns=[CARD_FILE, *card.files],
            commit_message=f"{card.name} {card.version}",
        )
    return str(Address(at.repo, commit.oid))


def target(address: str) -> Address:
    """Return the address to upload to.

    Raises:
        InputError: If it is malformed or has a revision.

    Example:
        >>> from musiczoo.hub import target
        >>> target("hf://user/model").repo
        'user/model'
    """
    at = Address.parse(address)
    if at.revision:
        raise InputError(f"Uploads go to the main branch: expected hf://{at.repo}, got {address!r}.")
    return at


def client() -> Any:
    """Return the client, `huggingface_hub.HfApi`.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingDependencyError(
            "Models of the Hub (hf://...) need the package 'huggingface_hub', which is not installed. Install the "
            "extra with: pip install 'musiczoo[hub]'"
        ) from error
    return HfApi(library_name="musiczoo", library_version=__version__)


@contextmanager
def _wrap_errors(at: Address, api: Any) -> Iterator[None]:
    """Turn the client's errors into a `MusicZooError` with the next step."""
    from huggingface_hub import errors

    try:
        yield
    except MusicZooError:
        raise
    except errors.HFValidationError as error:
        raise InputError(f"The Hub has no repository named {at.repo!r}: {error} Check the address.") from error
    except errors.GatedRepoError as error:
        raise HubError(
            f"Access to {at} is restricted. Ask for it at {api.endpoint}/{at.repo}, then log in: hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UnknownNameError(
            f"No such repository on the Hub: {at.repo!r}. Check the spelling; if it is private, log in: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UnknownNameError(
            f"{SCHEME}{at.repo} has no revision {at.revision!r}: it never had, or it was removed. Leave out "
            f"@{at.revision} for the newest version."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise _not_cached(at, api, error) from error
    except errors.EntryNotFoundError as error:
        raise ModelFileError(
            f"{at} lacks {CARD_FILE} or a file that it names: no model of musiczoo, or not complete. Check the address."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise HubError(f"Cannot reach {at}: HF_HUB_OFFLINE is set. Unset it to use the network.") from error
    except errors.HfHubHTTPError as error:
        raise _refused(at, api, error) from error
    except OSError as error:
        raise WriteError(f"Cannot use the Hub's cache: {error}. Set HF_HOME to a folder that you can write.") from error
    except Exception as error:
        if isinstance(error.__cause__, errors.HfHubHTTPError):  # of the upload of a large file
            raise _refused(at, api, error.__cause__) from error
        # The HTTP library is httpx or httpx2, whichever the client brings: their errors share no base class.
        if all(type(e).__module__.partition(".")[0] not in ("httpx", "httpx2") for e in (error, error.__cause__)):
            raise
        raise _unreachable(api) from error


def _not_cached(at: Address, api: Any, error: BaseException) -> HubError:
    """Return the error for a file that is neither in the cache nor can be downloaded."""
    from huggingface_hub import constants, errors

    cause = error.__cause__
    if isinstance(cause, errors.HfHubHTTPError):
        return _refused(at, api, cause)
    if cause is None or isinstance(cause, errors.OfflineModeIsEnabled):
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "only the cache was searched"
        return HubError(f"{at} is not in the Hub's cache, and {why}. With a network, run: musiczoo models --pull {at}")
    return _unreachable(api, f", and {at} is not in the cache")


def _unreachable(api: Any, why: str = "") -> HubError:
    return HubError(
        f"Cannot reach the Hub at {api.endpoint}{why}. Check the network, the settings of a proxy and HF_ENDPOINT, "
        "then run it again."
    )


def _refused(at: Address, api: Any, error: Any) -> HubError:
    """Return the error for an HTTP status. The client's message is left out: it may quote a request."""
    status = error.response.status_code
    if status == 401:
        step = "Log in with a valid token: hf auth login"
    elif status == 403:
        step = "Your account or token may not do this: use a token with the right to write, or ask the owner."
    elif status == 400 and error.server_message:
        step = f"It says: {error.server_message}"
    else:
        step = "Run it again later."
    return HubError(f"The Hub at {api.endpoint} refused {at} with HTTP status {status}. {step}")
