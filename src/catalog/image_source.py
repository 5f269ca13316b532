"""The content of an image file, local or behind any of fsspec's schemes, or in plain words why there is none."""

from pathlib import Path

import fsspec
from fsspec.asyn import AsyncFileSystem, sync

from src.catalog.audit import is_remote
from src.catalog.shard_address import parse_shard_address
from src.contracts.image_errors import ImageError

__all__ = ["TIMEOUT_S", "UnreadableImageError", "local_file", "read_image"]

TIMEOUT_S = 60.0
"""Seconds in which a remote image must be there, whole."""


_LONGEST = 200
# By name: aiohttp, urllib3 and ssl are imported by backends alone.
_KINDS = {
    "TooManyRedirects": "the server redirects in a circle, or too often",
    "NonHttpUrlRedirectClientError": "the server redirects to an address that is not HTTP",
    "ClientPayloadError": "the download is cut short or damaged",
    "IncompleteRead": "the download is cut short",
    "ServerDisconnectedError": "the server ended the connection",
    "ClientConnectorError": "no connection",
    "ClientConnectorDNSError": "no connection",
    "ClientConnectorSSLError": "no secure connection",
    "ClientConnectorCertificateError": "no secure connection",
    "InvalidUrlClientError": "not an address",
    "InvalidURL": "not an address",
    "ClientResponseError": "the server's answer is not HTTP",
}


class UnreadableImageError(ImageError):
    """An image whose bytes could not be fetched; the message says why."""


def read_image(root: Path, image: str, *, timeout: float | None = None) -> bytes:
    """Read one image file.

    Args:
        root: folder of relative paths.
        image: a path, a URI, or an address in a tar shard (`shard_address`), of which its own bytes alone are read.
        timeout: seconds that a remote image may take, `TIMEOUT_S` by default; backends that are not asynchronous set
            their own.

    Raises:
        UnreadableImageError: no such file, no right to read it, an answer other than its content, no backend ...
    """
    timeout = TIMEOUT_S if timeout is None else timeout
    try:
        return _content(root, image, timeout)
    # Backends raise what their libraries raise: aiohttp's and botocore's own errors, ImportError, ValueError ...
    except Exception as error:
        raise UnreadableImageError(_reason(error, image, timeout)) from error


def local_file(root: Path, image: str) -> Path | None:
    """The file of this machine that holds an image, by itself or as a tar shard; None for a remote one."""
    address = parse_shard_address(image)
    path = address.path if address else image
    return None if is_remote(path) else root / path


def _content(root: Path, image: str, timeout: float) -> bytes:
    address = parse_shard_address(image)
    if address is None:
        return _fetched(image, timeout) if is_remote(image) else (root / image).read_bytes()
    start, end = address.offset, address.offset + address.length
    if is_remote(address.path):
        data = _fetched(address.path, timeout, start=start, end=end)
    else:
        with (root / address.path).open("rb") as file:
            file.seek(start)
            data = file.read(address.length)
    if len(data) != address.length:
        raise OSError(
            f"the shard gives {len(data)} bytes instead of {address.length}: it was changed or cut off, or its server "
            "does not know ranges"
        )
    return data


def _fetched(image: str, timeout: float, **part: int) -> bytes:
    # Not `fsspec.open`: of a failed request over HTTP it tells neither status nor cause.
    backend, path = fsspec.core.url_to_fs(image)
    if isinstance(backend, AsyncFileSystem):
        return bytes(sync(backend.loop, backend._cat_file, path, timeout=timeout, **part))
    return bytes(backend.cat_file(path, **part))


def _reason(error: Exception, image: str, timeout: float) -> str:
    error = _cause(error)
    status, kind = getattr(error, "status", None), type(error).__name__
    said = " ".join(str(error).split())[:_LONGEST]
    scheme = image.split("://")[0]
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, TimeoutError):
        return f"timed out; {timeout:g} seconds are allowed"
    if isinstance(error, ImportError):
        return f"{scheme}:// needs a package that is not installed ({said})"
    if said.startswith("Protocol not known"):
        return f"no scheme {scheme}:// is known to fsspec"
    if isinstance(status, int) and status >= 400 and error.__cause__ is None:
        return f"the server answers with status {status} ({getattr(error, 'message', '') or 'no reason given'})"
    if kind in _KINDS:
        return f"{_KINDS[kind]} ({said})" if said else _KINDS[kind]
    if isinstance(error, OSError) and isinstance(error.strerror, str):
        return error.strerror
    return f"{said} ({kind})" if said else kind


def _cause(error: Exception) -> Exception:
    """The answer of a server behind fsspec's `FileNotFoundError`, which names the address alone."""
    found: BaseException | None = error
    while isinstance(found, FileNotFoundError):
        found = found.__cause__ or found.__context__
    told = isinstance(found, OSError) or hasattr(found, "status")
    return found if told and isinstance(found, Exception) else error
