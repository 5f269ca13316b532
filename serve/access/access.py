"""Whether a request may pass: its path's role, its key's role, its key's rate."""

import ipaddress
import logging
import math
from pathlib import Path

from serve.access.bucket import Bucket
from serve.access.keys import Key, Role, find_key, parse_keys
from serve.errors import Problem
from serve.settings import ServeSettings
from src.contracts.errors import ConfigError

__all__ = ["Access", "role_of"]

_MAKE_ONE = "make one with `python -m serve.access new --role {role} --name NAME`, and give --keys-file its line"

_log = logging.getLogger("serve")


def role_of(method: str, path: str) -> Role | None:
    """The role that a request needs; None for pages and probes, which are open to everybody."""
    if not path.startswith("/v1/"):
        return None
    if path.startswith("/v1/admin/"):
        return Role.ADMIN
    changes = method in ("PUT", "PATCH", "DELETE") and path.startswith("/v1/items/")
    return Role.WRITE if changes else Role.SEARCH


class Access:
    """The keys of one service. Only the event loop's thread asks; `reload` may run on any."""

    def __init__(self, settings: ServeSettings) -> None:
        """Read the keys.

        Raises:
            ConfigError: keys that cannot be read, or a search that needs a key where there is none.
        """
        self._file = settings.keys_file
        self._more = settings.keys.get_secret_value() if settings.keys is not None else ""
        self._processes = settings.processes
        self._read_at: tuple[int, int, int] | None = None
        self._held: tuple[list[Key], dict[str, Bucket]] = [], {}
        """The keys and what each has left: replaced as one, since requests read them meanwhile."""
        self.reload()
        self.search_needs_key = settings.search_access == "key" or (
            settings.search_access == "auto" and bool(self._held[0]) and not _is_loopback(settings.host)
        )
        if self.search_needs_key and not self._held[0]:
            raise ConfigError(f"`--search-access key`: there are no keys; {_MAKE_ONE.format(role='search')}")
        if not self.search_needs_key and not _is_loopback(settings.host):
            _log.warning("searches need no key, and %s is open to other machines", settings.host)

    def reload(self) -> bool:
        """Read the keys again, where their file has changed since. Blocks.

        Returns:
            Whether it had.

        Raises:
            ConfigError: they cannot be read; the old ones stay.
        """
        read_at = _version(self._file)
        if self._read_at is not None and read_at == self._read_at:
            return False
        self._read_at = read_at  # Also where they cannot be read: it is said once.
        keys = parse_keys(self._more.replace(",", "\n").splitlines(), place="`LOOKALIKE_KEYS`")
        if self._file is not None:
            keys += parse_keys(_lines(self._file), place=f"`--keys-file {self._file}`")
        # A key that is still there keeps what it has used up.
        old = self._held[1]
        buckets = {
            key.digest: kept
            if (kept := old.get(key.digest)) and kept.rate == key.rate / self._processes
            else Bucket(key.rate / self._processes)
            for key in keys
        }
        self._held = keys, buckets
        return True

    def admit(self, method: str, path: str, authorization: str | None) -> str | None:
        """Let a request pass.

        Args:
            method: of the request.
            path: of the request.
            authorization: the header of this name.

        Returns:
            The name of its key; None where it has none and needs none.

        Raises:
            Problem: 401 without a key or with a wrong one, 403 for one that may not, 429 for one too often.
        """
        keys, buckets = self._held
        needed = role_of(method, path)
        if needed is None or (needed is Role.SEARCH and not self.search_needs_key and authorization is None):
            return None
        if not keys and needed is Role.SEARCH and not self.search_needs_key:
            return None
        if not keys:
            detail = f"{method} {path} needs a key, and this service has none; {_MAKE_ONE.format(role=_name(needed))}"
            raise Problem(403, kind="no-keys", detail=detail)
        scheme, _, text = (authorization or "").partition(" ")
        key = find_key(keys, text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            shown = "this key is unknown" if authorization else "a key is needed"
            raise Problem(
                401, kind="key-needed", detail=f"{shown}; send `Authorization: Bearer KEY`",
                headers={"WWW-Authenticate": 'Bearer realm="lookalike"'},
            )  # fmt: skip
        if key.role < needed:
            detail = f"this key has the role {_name(key.role)}; {method} {path} needs {_name(needed)}"
            raise Problem(403, kind="role-too-low", detail=detail)
        bucket = buckets[key.digest]
        wait = bucket.take()
        if wait:
            seconds = str(max(1, math.ceil(wait)))
            raise Problem(
                429, kind="too-many-requests", detail=f"this key may send {key.rate:g} requests a second",
                headers={
                    "Retry-After": seconds,
                    "RateLimit-Policy": f'"key";q={math.floor(bucket.size)};w=1',
                    "RateLimit": f'"key";r=0;t={seconds}',
                },
            )  # fmt: skip
        return key.name


def _name(role: Role) -> str:
    return role.name.lower()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"`--keys-file {path}`: cannot be read ({reason}); name the file of the keys") from None


def _version(path: Path | None) -> tuple[int, int, int]:
    try:
        stat = path.stat() if path is not None else None
    except OSError:
        stat = None
    return (0, 0, 0) if stat is None else (stat.st_ino, stat.st_mtime_ns, stat.st_size)
