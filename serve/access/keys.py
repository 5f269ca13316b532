"""API keys. What is kept is the SHA-256 of each: a key has 256 random bits, so that its hash needs no salt."""

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from src.contracts.errors import ConfigError

__all__ = ["Key", "Role", "find_key", "new_key", "parse_keys"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BYTES = 32


class Role(IntEnum):
    """What a key may do; each may do what those before it may."""

    SEARCH = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True)
class Key:
    """One line of the keys.

    Attributes:
        name: whose it is, for logs and metrics.
        role: what it may do.
        digest: SHA-256 of the key, 64 hex digits.
        rate: requests a second in the long run; infinite where none is given.
    """

    name: str
    role: Role
    digest: str
    rate: float = math.inf

    def line(self) -> str:
        """The line that `parse_keys` reads."""
        limit = "" if math.isinf(self.rate) else f":{self.rate:g}"
        return f"{self.name}:{self.role.name.lower()}:{self.digest}{limit}"


def new_key(name: str, role: Role, rate: float = math.inf) -> tuple[str, Key]:
    """Make a key: its text, which nobody can read from what is kept, and what is kept."""
    text = f"lk_{secrets.token_urlsafe(_BYTES)}"
    key = Key(name, role, _digest(text), rate)
    _parse(key.line())
    return text, key


def find_key(keys: Sequence[Key], text: str) -> Key | None:
    """The key with this text. Every key is compared, each in constant time, whether or not one fits."""
    digest = _digest(text)
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def parse_keys(lines: Iterable[str], *, place: str) -> list[Key]:
    """Read `NAME:ROLE:SHA256` or `NAME:ROLE:SHA256:RATE`, one a line; empty lines and those with # are left out.

    Args:
        lines: of a file or of a variable.
        place: what they are of, for the message.

    Raises:
        ConfigError: all lines that are no keys, by number: a line may hold a secret, and is not repeated.
    """
    keys, problems = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            keys.append(_parse(line.strip()))
        except ConfigError as error:
            problems.append(f"line {number}: {error}")
    for name in {key.name for key in keys}:
        if sum(key.name == name for key in keys) > 1:
            problems.append(f"the name {name} stands twice; give each key its own")
    if problems:
        raise ConfigError(f"{place}: {'; '.join(problems)}; make lines with `python -m serve.access new`")
    return keys


def _parse(line: str) -> Key:
    parts = line.split(":")
    if len(parts) not in (3, 4):
        raise ConfigError("must be NAME:ROLE:SHA256 or NAME:ROLE:SHA256:RATE")
    name, role, digest, rate = (*parts, "inf")[:4]
    if not _NAME.fullmatch(name):
        raise ConfigError("the name must be 1 to 40 letters, digits, dots, dashes or underscores")
    if role.upper() not in Role.__members__:
        raise ConfigError(f"the role must be one of {', '.join(Role.__members__).lower()}")
    if not _DIGEST.fullmatch(digest):
        raise ConfigError("the third part must be a SHA-256 in 64 lower-case hex digits, never the key itself")
    try:
        limit = float(rate)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise ConfigError("the rate must be a number above 0, of requests a second, or be left out")
    return Key(name, Role[role.upper()], digest, limit)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
