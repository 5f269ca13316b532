"""Where a photo's web address leads, and whether the operator allows it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from serve.errors import Problem

__all__ = ["Location", "located", "parse_hosts"]

_PORTS = {"https": 443, "http": 80}
_LONGEST = 2048
_PRINTABLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # Without the backslash, which some take for a slash.


@dataclass(frozen=True, kw_only=True)
class Location:
    """A checked web address.

    Attributes:
        scheme: `https` or `http`.
        host: its name, lower case, without a last dot.
        port: the port.
        target: path and query.
    """

    scheme: str
    host: str
    port: int
    target: str


def parse_hosts(text: str) -> frozenset[tuple[str, int | None]]:
    """Read the setting `image_url_hosts`.

    Args:
        text: names, with a port where it is not the scheme's own, separated by commas: `cdn.example.com,img.test:8080`.

    Returns:
        Names, lower case, and ports; None where the port is the scheme's own.
    """
    hosts = set()
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        name, _, port = entry.partition(":")
        hosts.add((name, int(port) if port else None))
    return frozenset(hosts)


def located(url: str, *, hosts: Iterable[tuple[str, int | None]], allow_http: bool) -> Location:
    """Check an address by what it says, before anything is asked.

    Args:
        url: what the caller gave.
        hosts: what `parse_hosts` gave; a host without a port allows the scheme's own.
        allow_http: whether `http` is taken beside `https`.

    Raises:
        Problem: 422, it is no address that this service takes.
    """
    if len(url) > _LONGEST or not _PRINTABLE.fullmatch(url):
        raise _refused(f"it must be at most {_LONGEST} printable ASCII characters, without spaces and backslashes")
    try:
        parsed = httpx.URL(url)
        port = parsed.port
    except (httpx.InvalidURL, ValueError):
        raise _refused("it is no URL") from None
    schemes = ("https", "http") if allow_http else ("https",)
    if parsed.scheme not in schemes or not parsed.host:
        raise _refused(f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and name a host")
    if parsed.userinfo:
        raise _refused("it must hold no user name and no password")
    host = parsed.raw_host.decode("ascii").lower().removesuffix(".")
    own = _PORTS[parsed.scheme]
    # Names only: an address in numbers would need no resolving, and is how services inside are reached.
    allowed = {(name, own if at is None else at) for name, at in hosts}
    if (host, port or own) not in allowed:
        raise _refused("its host and port are not among those that this service is allowed to ask")
    return Location(scheme=parsed.scheme, host=host, port=port or own, target=parsed.raw_path.decode("ascii"))


def _refused(why: str) -> Problem:
    return Problem(422, kind="image-url-refused", detail=f"`image_url` is refused: {why}")
