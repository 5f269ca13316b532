"""Downloads a caller's photo without becoming the caller's way into the network."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import httpx

from serve.errors import Problem
from serve.fetch.address import is_public
from serve.fetch.location import Location, located, parse_hosts
from serve.observe.metrics import Metrics

__all__ = ["ImageFetcher", "Resolver", "resolve"]

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""From a host's name and a port to its addresses; raises OSError."""

_ADDRESSES_TRIED = 2


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class ImageFetcher:
    """Gets a photo from a host that the operator has named.

    The name is resolved once, every address that it gives must be public, and the connection goes to one of these very
    addresses: a name that means another address a moment later gains nothing. TLS is still checked against the name.
    Redirects are refused, not followed; no proxy, cookie or credential of the machine is used; a compressed body is
    refused, so that its size is what arrives. Nothing is kept open between two photos: a connection belongs to a name,
    and two names may share an address.
    """

    def __init__(
        self,
        *,
        hosts: str,
        allow_http: bool,
        allow_loopback: bool,
        max_bytes: int,
        seconds: float,
        metrics: Metrics,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            hosts: the setting `image_url_hosts`; see `parse_hosts`.
            allow_http: take `http` beside `https`.
            allow_loopback: let a name lead to this machine itself; for tests and development.
            max_bytes: largest photo.
            seconds: time for everything, from the name to the last byte.
            metrics: where outcomes are counted.
            resolver: from names to addresses.
            tls: what certificates are checked with; None takes the usual authorities.
        """
        self._hosts = parse_hosts(hosts)
        self._allow_http = allow_http
        self._allow_loopback = allow_loopback
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._metrics = metrics
        self._resolver = resolver
        self._tls = tls

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a web address; whether they are a photo is for the decoder to say.

        Raises:
            Problem: 422, the address is refused or gives no photo in time; 413, it gives too much.
        """
        try:
            async with asyncio.timeout(self._seconds):
                location = located(url, hosts=self._hosts, allow_http=self._allow_http)
                data = await self._download(location, await self._addresses(location))
        except TimeoutError:
            self._metrics.fetches.labels("failed").inc()
            raise _failed(f"it did not arrive within {self._seconds:g} seconds") from None
        except Problem as problem:
            self._metrics.fetches.labels("refused" if "refused" in str(problem.kind) else "failed").inc()
            raise
        self._metrics.fetches.labels("fetched").inc()
        return data

    async def _addresses(self, location: Location) -> list[str]:
        try:
            addresses = await self._resolver(location.host, location.port)
        except OSError:
            addresses = []
        if not addresses:
            raise _failed("the name of its host has no address")
        if not all(self._allowed(address) for address in addresses):
            # Which address it was is for the operator's resolver to say, not for the caller to learn.
            raise Problem(
                422, kind="image-url-refused", detail="`image_url` is refused: its host is not on the public internet"
            )
        return addresses

    def _allowed(self, address: str) -> bool:
        if is_public(address):
            return True
        try:
            return self._allow_loopback and ip_address(address).is_loopback
        except ValueError:
            return False

    async def _download(self, location: Location, addresses: list[str]) -> bytes:
        # A context takes milliseconds to make, of the event loop's time: made when it is first needed.
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=0)
        async with httpx.AsyncClient(
            verify=self._tls, trust_env=False, follow_redirects=False, limits=limits, timeout=self._seconds
        ) as client:
            for address in addresses[:_ADDRESSES_TRIED]:
                try:
                    return await self._get(client, location, address)
                except httpx.ConnectError:
                    continue
                except httpx.HTTPError:
                    raise _failed("its host broke off or did not speak HTTP") from None
        raise _failed("its host cannot be reached")

    async def _get(self, client: httpx.AsyncClient, location: Location, address: str) -> bytes:
        numbers = f"[{address}]" if ":" in address else address
        usual = {"https": 443, "http": 80}[location.scheme] == location.port
        request = client.build_request(
            "GET",
            f"{location.scheme}://{numbers}:{location.port}{location.target}",
            headers={
                "Host": location.host if usual else f"{location.host}:{location.port}",
                "Accept": "image/*",
                "Accept-Encoding": "identity",
                "User-Agent": "Lookalike",
                "Connection": "close",
            },
            # The certificate is checked against this name, not against the address in the URL.
            extensions={"sni_hostname": location.host, "timeout": httpx.Timeout(self._seconds).as_dict()},
        )
        response = await client.send(request, stream=True)
        try:
            return await self._read(response)
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        if response.is_redirect or 300 <= response.status_code < 400:
            raise Problem(
                422,
                kind="image-url-refused",
                detail="`image_url` is refused: it redirects elsewhere; give the address that it leads to",
            )
        if response.status_code != 200:
            raise _failed(f"its host answered with status {response.status_code}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _failed("its host sends it compressed, though that was not asked for")
        announced = response.headers.get("content-length", "")
        data = bytearray()
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise self._too_large()
        async for piece in response.aiter_raw():
            data += piece
            if len(data) > self._max_bytes:
                raise self._too_large()
        return bytes(data)

    def _too_large(self) -> Problem:
        return Problem(413, kind="image-too-large", detail=f"what `image_url` gives has over {self._max_bytes:,} bytes")


def _failed(why: str) -> Problem:
    return Problem(422, kind="image-url-failed", detail=f"`image_url` gave no photo: {why}")
