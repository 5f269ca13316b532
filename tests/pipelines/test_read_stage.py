"""Reading: retries, reasons, and what tells that a file is as it was."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest

from src.pipelines.fingerprint import fingerprint
from src.pipelines.job import Job
from src.pipelines.stages import read
from src.pipelines.stages.read import content_hash, read_stage
from src.pipelines.stages.rows import PLANNED, batches_of, rebatched, with_columns

BUSY: dict[str, int] = {}


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        left = BUSY.get(self.path, 0)
        BUSY[self.path] = left - 1
        self.send_response(503 if left > 0 else 404 if self.path == "/absent" else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"bytes")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def job(root: Path, **changes: object) -> Job:
    values: dict = {
        "output": "",
        "root": str(root),
        "encoder": "",
        "encoder_id": "e",
        "dim": 4,
        "preprocessing": {},
        "work": "",
        "run": 1,
        "created_at": 0,
    }
    return Job(**{**values, **changes})


def rows(images: list[str], **columns: list) -> pa.Table:
    values = {field.name: pa.nulls(len(images), field.type) for field in PLANNED}
    values |= {"image": pa.array(images), "image_id": pa.array(images), "item_id": pa.array(images)}
    kinds = {field.name: field.type for field in PLANNED}
    return pa.table(values | {name: pa.array(given, kinds[name]) for name, given in columns.items()})


def read_all(the_job: Job, planned: pa.Table) -> list[dict]:
    return [row for batch in read_stage(the_job)(batches_of(planned, 2)) for row in batch.to_pylist()]


def test_a_busy_server_is_asked_again_and_an_absent_image_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_WAIT_S", 0.001)
    with served() as address:
        BUSY.clear()
        BUSY.update({"/busy": 2, "/down": 99})
        found = read_all(job(tmp_path), rows([f"{address}/{name}" for name in ("fine", "busy", "down", "absent")]))
    assert [row["data"] for row in found] == [b"bytes", b"bytes", None, None]
    assert [row["reason"] for row in found] == [None, None, "missing", "missing"]
    assert "503" in found[2]["detail"]
    assert found[3]["detail"] == "no such file"
    # Without an answer to HEAD that says more, the size is asked for by one GET.
    assert BUSY["/down"] in (99 - 3, 99 - 4)
    assert BUSY["/absent"] in (-1, -2)
    # No ETag: the content alone tells.
    assert found[0]["file"] is None


def test_a_file_as_it_was_is_not_read_and_a_touched_one_is_known_by_its_content(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
    before = [fingerprint(tmp_path, name).value for name in "abcd"]
    hashes = [content_hash(name.encode(), None) for name in "abcd"]
    os.utime(tmp_path / "b", ns=(1, 1))
    (tmp_path / "c").write_bytes(b"other")
    os.utime(tmp_path / "d", ns=(1, 1))
    known = {"known_file": before, "known_hash": hashes, "known_outcome": ["ok", "ok", "ok", "grey"]}
    found = read_all(job(tmp_path), rows(list("abcd"), **known, embedded=[True, True, True, False]))
    assert [row["state"] for row in found] == ["unchanged", "touched", "new", "touched"]
    assert [row["data"] for row in found] == [None, None, b"other", None]
    # Not embedded by this encoder: read, whatever is known.
    assert read_all(job(tmp_path), rows(["a"], known_file=before[:1], known_outcome=["ok"], embedded=[False]))[0][
        "data"
    ]


def test_another_box_is_another_content() -> None:
    assert content_hash(b"x", None) != content_hash(b"x", [0.0, 0.0, 1.0, 1.0]) != content_hash(b"x", [0.0, 0, 1, 2])


def test_batches_are_bounded_in_rows_and_bytes() -> None:
    (batch,) = batches_of(rows([str(number) for number in range(10)]), 10)
    filled = with_columns(batch, data=[b"x" * 1000] * 10)
    assert [len(part) for part in rebatched(iter([filled]), rows=4, bytes_=10**6)] == [4, 4, 2]
    sizes = [len(part) for part in rebatched(iter([filled]), rows=10, bytes_=3200)]
    assert sum(sizes) == 10
    assert max(sizes) == 3
    assert [len(part) for part in rebatched(iter([filled]), rows=10, bytes_=1)] == [1] * 10
