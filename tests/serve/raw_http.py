"""HTTP/1.1 on a plain socket: what well-behaved clients do not send."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.running import PATIENCE

PART = b'--a\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
END = b"\r\n--a--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=a"}
"""A form of one photo is PART + the photo + END."""


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    """A connection to the service."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as opened:
        yield opened


def head(method: str, path: str, **headers: object) -> bytes:
    """A request's head; `Content_Length=1` is the header `Content-Length: 1`."""
    given = {"Host": "x", **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def form_head(length: int, **headers: object) -> bytes:
    """The head of a search by photo whose form has `length` bytes."""
    return head("POST", "/v1/search", Content_Type=FORM["Content-Type"], Content_Length=length, **headers)


def read_response(opened: socket.socket) -> httpx.Response:
    """The one response, read as slowly as it comes."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += opened.recv(65536) or pytest.fail(f"closed after {data!r}")
    first, _, body = data.partition(b"\r\n\r\n")
    lines = first.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    while len(body) < int(headers["content-length"]):
        body += opened.recv(65536) or pytest.fail(f"closed after {body!r}")
    return httpx.Response(int(lines[0].split()[1]), headers=headers, content=body)
