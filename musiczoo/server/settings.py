"""What a server allows: who may ask, by which names, and where it may write."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .subsonic import Subsonic

SHORTEST_TOKEN = 16
"""Characters that a token has at least: with fewer, it could be guessed."""

_LOCAL = "localhost"


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        token: Secret that requests have to bring; None if everybody on this machine may ask.
        hosts: Names by which the server may be called, besides ``localhost`` and IP addresses. A page of another site
            cannot reach the server by letting a name of its own point here (DNS rebinding).
        playlists: Folder of the playlists that may be read and saved; None for none.
        watch: Folders to index now and whenever they change.
        model: Name or folder of the model to index them with; None for the library's.
        weights: Dimension -> weight in the answers to players' plugins, 0 or more; None for equal ones.
        media_server: Server that gets the playlists made here; None for none.

    Example:
        >>> from musiczoo.server.settings import Settings
        >>> settings = Settings(hosts=frozenset({"music.home"}))
        >>> [settings.is_called(host) for host in ("localhost:8000", "[::1]:8000", "music.home", "evil.example")]
        [True, True, True, False]
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    playlists: Path | None = None
    watch: tuple[Path, ...] = ()
    model: str | None = None
    weights: Mapping[str, float] | None = None
    media_server: Subsonic | None = None

    def is_called(self, host: str) -> bool:
        """Return whether a Host header names this server.

        Example:
            >>> from musiczoo.server.settings import Settings
            >>> Settings().is_called("192.168.1.2:8000"), Settings().is_called("evil.example")
            (True, False)
        """
        name = host_name(host)
        return name == _LOCAL or is_address(name) or name in self.hosts


def host_name(host: str) -> str:
    """Return the name or address in a Host header, without the port, in lower case.

    Example:
        >>> from musiczoo.server.settings import host_name
        >>> host_name("Music.home:8000"), host_name("[::1]:8000")
        ('music.home', '::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def is_address(name: str) -> bool:
    """Return whether a name is an IP address.

    Example:
        >>> from musiczoo.server.settings import is_address
        >>> is_address("192.168.1.2"), is_address("music.home")
        (True, False)
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Return whether a host to listen on is reached from this machine only.

    Example:
        >>> from musiczoo.server.settings import is_loopback
        >>> [is_loopback(name) for name in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "music.home")]
        [True, True, True, False, False]
    """
    return name == _LOCAL or (is_address(name) and ipaddress.ip_address(name).is_loopback)


def read_token(file: Path) -> str:
    """Return the token in a file: its first line.

    Raises:
        InputError: If the file cannot be read, or the token is short or has characters that headers cannot hold.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from musiczoo.server.settings import read_token
        >>> file = Path(tempfile.mkdtemp()) / "token"
        >>> _ = file.write_text("correct-horse-battery-staple")
        >>> read_token(file)
        'correct-horse-battery-staple'
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"Cannot read the token file {str(file)!r}: {reason}.") from error
    token = lines[0].strip() if lines else ""
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"The token in {str(file)!r} must have at least {SHORTEST_TOKEN} letters, digits or signs and no spaces. "
            f"Make one: openssl rand -hex 32 > {str(file)!r}"
        )
    return token
