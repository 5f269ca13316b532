import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.ipc as ipc
import pytest

from serve.__main__ import main
from src.contracts.bundle import staged_bundle
from src.export.sign import sign
from tests.search.small_bundle import damage, picture
from tests.serve.running import PATIENCE, ROOT, run, running
from tests.signing_keys import PRIVATE, PUBLIC, write_keys


def told(code: int, output: str, errors: str, *words: str) -> None:
    """Exit code 2, one line, no traceback."""
    assert code == 2, errors
    assert output == ""
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert lines[0].startswith("serve: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture
def refuses(capsys, monkeypatch):
    """Runs the command in this process, which must refuse: a process of its own takes seconds to import."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")

    def refuse(arguments: list[str], *words: str) -> None:
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = stopped.code
        captured = capsys.readouterr()
        told(code, captured.out, captured.err, *words)

    return refuse


def test_help_shows_how(shop):
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for word in (
        "--bundle",
        "LOOKALIKE_MAX_IN_FLIGHT=64",
        "--host",
        "--port",
        "curl -F image=@photo.jpg",
        "Exit codes",
        "127.0.0.1",
        "8000",
    ):
        assert word in result.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_0(shop, number):
    with running(["--bundle", str(shop.root)]) as started:
        assert started.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{started.url}/readyz").status_code == 200
        code, errors = started.stop(number)
        assert code == 0, errors
        assert "Traceback" not in errors
        bundle_lines = [line for line in errors.splitlines() if "60 items" in line]
        assert len(bundle_lines) == 1
        assert " on the CPU" in bundle_lines[0]


def test_running_search_is_answered_before_the_end(shop):
    body = b'--a\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + picture(1) + b"\r\n--a--\r\n"
    with running(["--bundle", str(shop.root)]) as started:
        port = int(started.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as opened:
            opened.sendall(
                b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=a\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body)
            )
            opened.sendall(body[:50])
            deadline = time.monotonic() + PATIENCE
            while "lookalike_uploads 1.0" not in httpx.get(f"{started.url}/metrics").text:
                assert time.monotonic() < deadline, "the head has not arrived"
            started.process.send_signal(signal.SIGTERM)
            _refused(port)
            opened.sendall(body[50:])
            assert opened.recv(65536).startswith(b"HTTP/1.1 200")
        assert started.process.wait(timeout=30) == 0


def _refused(port: int) -> None:
    """Until nobody new is let in."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # It was in the queue when the listener closed.
    pytest.fail("still lets callers in")


def test_signal_while_it_loads_ends_it_with_0(shop):
    # The one thing that is not real here: loading that lasts until the signal has come.
    code = (
        "import os, signal, sys, time\n"
        "from serve.bundle.engine import Engine\n"
        "from serve.__main__ import main\n"
        "def slow(path, **options):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(0.3)\n"
        "    return opened(path, **options)\n"
        "opened, Engine.open = Engine.open, slow\n"
        f"sys.exit(main(['--bundle', {str(shop.root)!r}, '--port', '0']))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


@pytest.mark.parametrize("name", ["encoder.onnx", "index.faiss", "items.parquet", "thumbnails.arrow"])
def test_damaged_file_does_not_serve(refuses, copied, name):
    damage(copied, name)
    refuses(["--bundle", str(copied), "--port", "0"], name, "damaged or altered", "export it again")


def test_process_of_its_own_ends_with_2(copied):
    damage(copied, "index.faiss")
    result = run("--bundle", str(copied), "--port", "0")
    told(result.returncode, result.stdout, result.stderr, "index.faiss")


def test_altered_manifest_does_not_serve(refuses, copied):
    path = copied / "manifest.json"
    path.write_text(path.read_text().replace('"recall@10": 1.0', '"recall@10": 2.0'))
    refuses(["--bundle", str(copied), "--port", "0"], "was altered")


def test_what_is_not_signed_with_the_key_does_not_serve(refuses, copied, tmp_path):
    ours, theirs = (write_keys(tmp_path / name) for name in ("ours", "theirs"))
    arguments = ["--bundle", str(copied), "--port", "0", "--public-key"]
    refuses([*arguments, str(ours / PUBLIC)], "is not signed", "src.export.sign")
    sign(copied, theirs / PRIVATE)
    refuses([*arguments, str(ours / PUBLIC)], "signed with key")
    refuses([*arguments, str(ours / PRIVATE)], "is no Ed25519 public key")


def test_signed_bundle_serves(copied, tmp_path):
    keys = write_keys(tmp_path / "keys")
    sign(copied, keys / PRIVATE)
    with running(["--bundle", str(copied), "--public-key", str(keys / PUBLIC)]) as started:
        assert httpx.get(f"{started.url}/readyz").status_code == 200
        assert started.stop()[0] == 0


def test_unreadable_file_does_not_serve(refuses, copied):
    (copied / "encoder.onnx").unlink()
    (copied / "encoder.onnx").mkdir()
    refuses(["--bundle", str(copied), "--port", "0"], "encoder.onnx")


def test_no_bundle_does_not_serve(refuses, tmp_path):
    refuses(["--bundle", str(tmp_path / "none"), "--port", "0"], "none", "export.py")


def _changed(root: Path, change) -> None:
    """Write the bundle once more, with a valid manifest, after a change to its files."""
    old = json.loads((root / "manifest.json").read_text())
    with staged_bundle(root) as draft:
        for path in root.iterdir():
            if path.name != "manifest.json":
                shutil.copy(path, draft.root)
        draft.content |= {name: value for name, value in old["content"].items() if name != "files"}
        draft.measured |= old["measured"]
        change(draft)


def test_parts_that_do_not_belong_together_do_not_serve(refuses, copied):
    def fewer_thumbnails(draft) -> None:
        thumbnails = pa.table({"image_id": ["a"], "jpeg": pa.array([b"x"], pa.binary())})
        with ipc.new_file(draft.root / "thumbnails.arrow", thumbnails.schema) as writer:
            writer.write_table(thumbnails)

    _changed(copied, fewer_thumbnails)
    refuses(["--bundle", str(copied), "--port", "0"], "not of the same images")


def test_another_dimension_does_not_serve(refuses, copied):
    _changed(copied, lambda draft: draft.content.update(dim=49))
    refuses(["--bundle", str(copied), "--port", "0"], "48, 48, 49")


def test_port_in_use_is_told(refuses, shop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refuses(["--bundle", str(shop.root), "--port", str(port)], f"--port {port}", "in use", "another port")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--bundle"),
        (["--bundle", "x", "--port", "99999"], "99999"),
        (["--bundle", "x", "--port", "http"], "http"),
        (["--bundle", "x", "--prt", "1"], "--prt"),
        (["--bundle", "x", "--max-in-flight", "0"], "`--max-in-flight 0`: must be at least 1"),
        (["--bundle", "x", "--max-upload-mib", "-1"], "-1"),
        (["--bundle", "x", "--max-upload-mib", "nan"], "nan"),
        (["--bundle", "x", "--host", "no.such.host.invalid"], "no.such.host.invalid"),
    ],
)
def test_bad_argument_is_told_in_one_line(refuses, arguments, word):
    refuses(arguments, word)
