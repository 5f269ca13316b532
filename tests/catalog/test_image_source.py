"""Images behind a scheme: whatever their backend raises is one bad row with a reason, and the others are listed too."""

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from src.catalog import image_source
from src.catalog.catalogue import Catalogue
from src.catalog.duplicates.fingerprints import fingerprints
from src.catalog.image_source import UnreadableImageError, read_image
from src.contracts.errors import CatalogueError
from src.contracts.image_errors import ImageError
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixel_cache import open_pixel_cache
from src.datamodules.pixels import iterate_pixels
from tests.pictures import encode, smooth_picture

JPEG = encode(smooth_picture(30, 40, seed=0), "JPEG")
SPEC = PreprocessingSpec(size=16)

PATHS = {
    "/status/400": r"the server answers with status 400 \(Bad Request\)",
    "/status/401": r"the server answers with status 401 \(Unauthorized\)",
    "/status/403": r"the server answers with status 403 \(Forbidden\)",
    "/status/404": "no such file",
    "/status/410": r"the server answers with status 410 \(Gone\)",
    "/status/429": r"the server answers with status 429 \(Too Many Requests\)",
    "/status/500": r"the server answers with status 500 \(Internal Server Error\)",
    "/status/503": r"the server answers with status 503 \(Service Unavailable\)",
    "/short": r"the download is cut short or damaged \(.*received 500 of 1000 bytes",
    "/chunks": r"the download is cut short or damaged \(",
    "/gzip": r"the download is cut short or damaged \(.*gzip",
    "/circle": "the server redirects in a circle, or too often",
    "/elsewhere": "the server redirects to an address that is not HTTP",
    "/hang-up": "the server ended the connection",
    "/garbage": "the server's answer is not HTTP",
    "/stall": r"timed out; 0\.2 seconds are allowed",
    "/silence": r"timed out; 0\.2 seconds are allowed",
}
ADDRESSES = {
    "s3://bucket/a.jpg": r"s3:// needs a package that is not installed \(Install s3fs",
    "gs://bucket/a.jpg": r"gs:// needs a package that is not installed \(.*gcsfs",
    "foo://x/a.jpg": "no scheme foo:// is known to fsspec",
    "http://nowhere.invalid/a.jpg": r"no connection \(Cannot connect to host nowhere\.invalid|timed out",
    "http://": "not an address",
    "http://[::1/a.jpg": "Invalid IPv6 URL",
    "http://127.0.0.1:99999/a.jpg": "Port out of range",
    "memory://absent.jpg": "no such file",
    "file:///absent.jpg": "no such file",
    "file:///tmp": "Is a directory",
    "zip://a.jpg::file:///absent.zip": "no such file",
    "reference://a.jpg": "missing 1 required positional argument",
}


class Misbehaving(http.server.BaseHTTPRequestHandler):
    """Answers as its paths are called."""

    protocol_version = "HTTP/1.1"
    released = threading.Event()

    def do_GET(self) -> None:
        self.close_connection = True
        name = self.path.removeprefix("/")
        if name.startswith("status/"):
            self.answer(int(name[7:]), b"<html>not a picture</html>")
        elif name == "photo":
            self.answer(200, JPEG)
        elif name == "page":
            self.answer(200, b"<html>not a picture</html>")
        elif name in ("short", "stall"):
            self.answer(200, b"x" * 500, {"Content-Length": "1000"})
            if name == "stall":
                self.wfile.flush()
                self.released.wait(30)
        elif name == "chunks":
            self.answer(200, b"1f4\r\n" + b"x" * 500 + b"\r\n", {"Transfer-Encoding": "chunked"})
        elif name == "gzip":
            self.answer(200, b"not zipped", {"Content-Encoding": "gzip", "Content-Length": "10"})
        elif name in ("circle", "elsewhere"):
            self.answer(302, b"", {"Location": "/circle" if name == "circle" else "ftp://x/", "Content-Length": "0"})
        elif name == "garbage":
            self.wfile.write(b"garbage\r\n\r\n")
        elif name == "silence":
            self.released.wait(30)

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        for key, value in (headers or {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Misbehaving)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    Misbehaving.released.set()
    listening.shutdown()
    thread.join()
    listening.server_close()


def catalogue_of(root: Path, *images: str) -> Catalogue:
    ids = [str(number) for number in range(len(images))]
    return Catalogue(pa.table({"image_id": ids, "item_id": ids, "image": list(images)}), root)


def test_what_can_be_fetched_is(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    with fsspec.open("memory://photos/a.jpg", "wb") as file:
        file.write(JPEG)
    for image in (f"{server}/photo", "memory://photos/a.jpg", f"file://{tmp_path}/a.jpg", "a.jpg"):
        assert read_image(tmp_path, image, timeout=60) == JPEG


@pytest.mark.parametrize("path", PATHS)
def test_each_failure_over_http_has_a_reason(server: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"^{PATHS[path]}"):
        read_image(tmp_path, server + path, timeout=0.2 if PATHS[path].startswith("timed out") else 60)


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_address_that_leads_nowhere_has_a_reason(tmp_path: Path, address: str) -> None:
    with pytest.raises(UnreadableImageError, match=ADDRESSES[address]):
        read_image(tmp_path, address, timeout=60)


def test_a_closed_port_and_a_server_without_tls(server: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(UnreadableImageError, match=r"^no connection \(Cannot connect to host 127\.0\.0\.1"):
        read_image(tmp_path, f"http://127.0.0.1:{port}/a.jpg", timeout=60)
    with pytest.raises(UnreadableImageError, match=r"^no secure connection \(.*SSL"):
        read_image(tmp_path, f"{server.replace('http', 'https')}/photo", timeout=60)


@pytest.mark.parametrize("name", ["absent.jpg", "folder", "a\0b.jpg", "x" * 300])
def test_local_files_that_cannot_be_read_have_a_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableImageError, match=r"^(no such file|Is a directory|embedded null|File name too long)"):
        read_image(tmp_path, name)


def all_rows(server: str, root: Path) -> tuple[Catalogue, list[str]]:
    """Good rows between bad ones, and a pattern for each bad row's line."""
    (root / "a.jpg").write_bytes(JPEG)
    (root / "text.jpg").write_bytes(b"text")
    bad = {f"{server}{path}": reason for path, reason in PATHS.items() if "timed out" not in reason}
    bad |= {f"{server}/page": "not a JPEG", "text.jpg": "not a JPEG"}
    bad |= ADDRESSES | {"absent.jpg": "no such file"}
    images = [image for pair in zip(bad, ["a.jpg", f"{server}/photo"] * len(bad), strict=False) for image in pair]
    return catalogue_of(root, *images), [f"row {2 * number + 1}: {image}: " for number, image in enumerate(bad)]


def test_a_single_picture_says_which_it_is(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"text")
    catalogue = catalogue_of(tmp_path, "foo://x/a.jpg", "text.jpg")
    for row, line in enumerate(("row 1: foo://x/a.jpg: no scheme", "row 2: text.jpg: not a JPEG")):
        for read in (catalogue.picture, lambda row: catalogue.pixels(row, SPEC)):
            with pytest.raises(ImageError, match=f"^{line}"):
                read(row)


READERS = {
    "pixels": lambda catalogue, rows, folder: list(iterate_pixels(catalogue, rows, SPEC, batch=4)),
    "cache of pixels": lambda catalogue, rows, folder: open_pixel_cache(catalogue, rows, SPEC, folder),
    "fingerprints": fingerprints,
}


@pytest.mark.parametrize("read", READERS)
def test_all_bad_rows_are_listed_whatever_was_raised(server: str, tmp_path: Path, read: str) -> None:
    catalogue, lines = all_rows(server, tmp_path)
    with pytest.raises(CatalogueError) as caught:
        READERS[read](catalogue, np.arange(len(catalogue.items)), tmp_path)
    assert len(caught.value.problems) == len(lines)
    for problem, line in zip(caught.value.problems, lines, strict=True):
        assert problem.startswith(line)
        assert len(problem) > len(line) + 5


def test_a_server_that_stalls_is_a_bad_row(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_source, "TIMEOUT_S", 0.2)
    (tmp_path / "text.jpg").write_bytes(b"text")
    catalogue = catalogue_of(tmp_path, f"{server}/stall", "text.jpg", f"{server}/silence")
    with pytest.raises(CatalogueError) as caught:
        list(iterate_pixels(catalogue, np.arange(3), SPEC, batch=2))
    assert caught.value.problems == [
        f"row 1: {server}/stall: timed out; 0.2 seconds are allowed",
        "row 2: text.jpg: not a JPEG, PNG, WebP, GIF, BMP or TIFF image",
        f"row 3: {server}/silence: timed out; 0.2 seconds are allowed",
    ]


class Error(Exception):
    """As a backend of somebody else may raise."""

    def __init__(self, request: object, history: object) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Error(1, 2), "Error"),
        (KeyError("Contents"), "'Contents' (KeyError)"),
        (RuntimeError("first\n  second"), "first second (RuntimeError)"),
        (PermissionError("Forbidden"), "Forbidden (PermissionError)"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "'utf-8' codec can't decode"),
        (EOFError(), "EOFError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_any_other_error_is_a_bad_row_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(MemoryFileSystem, "cat_file", fail)
    with pytest.raises(CatalogueError) as caught:
        list(iterate_pixels(catalogue_of(tmp_path, "memory://a.jpg"), np.arange(1), SPEC, batch=1))
    assert caught.value.problems[0].startswith(f"row 1: memory://a.jpg: {reason}")
