"""The command: what it refuses, in one line and with exit code 2."""

import json
import logging.config
import shutil
import socket
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pytest
from fastapi.testclient import TestClient

from serve.__main__ import main
from serve.app import create_app
from serve.settings import ServeSettings
from src.contracts.bundle import staged_bundle
from src.contracts.errors import LookalikeError
from src.export.sign import sign
from tests.search.small_bundle import damage
from tests.serve.running import Running, run
from tests.signing_keys import PRIVATE, PUBLIC, write_keys


def check_refusal(code: int, output: str, errors: str, *words: str) -> None:
    """Exit code 2, one line that has the words, no traceback."""
    assert code == 2, errors
    assert output == ""
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert lines[0].startswith("serve: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture
def refuses(capsys, monkeypatch):
    """Runs the command in this process, which must refuse before it starts another one."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(logging.config, "dictConfig", lambda _: None)  # It would close the handlers of pytest.

    def refuse(arguments: list[str], *words: str) -> None:
        code = main(arguments)
        captured = capsys.readouterr()
        check_refusal(code, captured.out, captured.err, *words)

    return refuse


def test_help_ends_with_0():
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for word in ("--bundle", "--max-in-flight", "LOOKALIKE_TOKEN", "Exit codes"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--bundle is required"]),
        (["--bundle", "x", "--port", "99999"], ["`--port 99999`", "65535"]),
        (["--bundle", "x", "--prt", "1"], ["--prt"]),
        (["--bundle", "x", "--max-in-flight", "0", "--encoders", "-1"], ["`--max-in-flight 0`", "`--encoders -1`"]),
        (["--bundle", "x", "--processes", "2", "--state", "s"], ["`--processes 2`", "`--state s`", "leave one"]),
        (["--bundle", "x", "--host", "no.such.host.invalid"], ["`--host no.such.host.invalid`", "address"]),
        (["--bundle", "x", "--host", "203.0.113.7"], ["`--host 203.0.113.7 --port 8000`"]),
    ],
)
def test_setting_that_cannot_work_is_named_with_its_rule(refuses, arguments, words):
    refuses(arguments, *words)


def test_variable_that_is_no_setting_is_refused(refuses, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_BUNDEL", "x")
    refuses(["--bundle", "x"], "`LOOKALIKE_BUNDEL` is no setting; did you mean LOOKALIKE_BUNDLE")


def test_address_of_a_dependency_that_is_none_is_refused_without_its_password(shop):
    environment = {"LOOKALIKE_STORE_URL": "mysql://me:secret@h"}
    result = run("--bundle", str(shop.root), "--port", "0", environment=environment)
    check_refusal(result.returncode, result.stdout, result.stderr, "LOOKALIKE_STORE_URL")
    assert "secret" not in result.stderr


def test_port_in_use_is_refused(refuses, shop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refuses(["--bundle", str(shop.root), "--port", str(port)], f"--port {port}", "in use", "another port")


def test_machine_without_a_temporary_folder_is_told_what_to_do(refuses, shop, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/none")
    refuses(["--bundle", str(shop.root), "--port", "0"], "no temporary folder", "TMPDIR")


def test_bundle_that_cannot_serve_is_refused_once_by_all_processes(copied):
    damage(copied, "index.faiss")
    result = run("--bundle", str(copied), "--port", "0", "--processes", "2")
    check_refusal(result.returncode, result.stdout, result.stderr, "index.faiss", "damaged or altered")


def test_state_folder_of_another_service_is_refused_whatever_its_bundle(service: Running, state: Path, copied: Path):
    changed = service.client.get("/v1/bundle").json()["bundle_id"]
    _rewritten(copied, lambda draft: draft.content.update(catalogue={"name": "other", "rows": 120}))
    result = run("--bundle", str(copied), "--state", str(state), "--port", "0")
    check_refusal(result.returncode, result.stdout, result.stderr, str(state), "another service has it open")
    assert service.client.get("/v1/bundle").json()["bundle_id"] == changed


def refusal(bundle: Path, **settings: object) -> str:
    """What an application in this process says of a bundle."""
    with pytest.raises(LookalikeError) as caught, TestClient(create_app(bundle, ServeSettings(**settings))):
        pytest.fail("it serves")
    return str(caught.value)


def _rewritten(root: Path, change) -> None:
    """Write a bundle once more, with a valid manifest, after a change to its parts."""
    old = json.loads((root / "manifest.json").read_text())
    with staged_bundle(root) as draft:
        for path in root.iterdir():
            if path.name != "manifest.json":
                shutil.copy(path, draft.root)
        draft.content |= {name: value for name, value in old["content"].items() if name != "files"}
        draft.measured |= old["measured"]
        change(draft)


@pytest.mark.parametrize("name", ["encoder.onnx", "index.faiss", "items.arrow", "words.sqlite", "thumbnails.arrow"])
def test_damaged_file_is_named(copied, name):
    damage(copied, name)
    told = refusal(copied)
    assert name in told
    assert "damaged or altered" in told
    assert "export it again" in told


def test_altered_manifest_is_noticed(copied):
    path = copied / "manifest.json"
    path.write_text(path.read_text().replace('"recall@1": 0.5', '"recall@1": 0.9'))
    assert "was altered" in refusal(copied)


def test_file_that_cannot_be_read_is_named(copied):
    (copied / "encoder.onnx").unlink()
    (copied / "encoder.onnx").mkdir()
    assert "encoder.onnx" in refusal(copied)


def test_folder_that_is_not_there_is_named(tmp_path):
    told = refusal(tmp_path / "none")
    assert "none" in told
    assert "export.py" in told


def test_bundle_that_is_not_signed_with_the_key_is_refused(copied, tmp_path):
    ours, theirs = (write_keys(tmp_path / name) for name in ("ours", "theirs"))
    assert "is not signed" in refusal(copied, public_key=ours / PUBLIC)
    sign(copied, theirs / PRIVATE)
    assert "signed with key" in refusal(copied, public_key=ours / PUBLIC)
    assert "is no Ed25519 public key" in refusal(copied, public_key=ours / PRIVATE)
    with TestClient(create_app(copied, ServeSettings(public_key=theirs / PUBLIC))) as client:
        assert client.get("/readyz").status_code == 200


def test_parts_that_do_not_belong_together_are_refused(copied):
    def fewer_thumbnails(draft) -> None:
        thumbnails = pa.table({"image_id": pa.array(["a"], pa.large_string()), "jpeg": pa.array([b"x"], pa.binary())})
        with ipc.new_file(draft.root / "thumbnails.arrow", thumbnails.schema) as writer:
            writer.write_table(thumbnails)

    _rewritten(copied, fewer_thumbnails)
    assert "not of the same images" in refusal(copied)


def test_another_dimension_is_refused(copied):
    _rewritten(copied, lambda draft: draft.content.update(dim=49))
    assert "48, 48, 49" in refusal(copied)


def test_unknown_detector_is_refused(shop):
    assert "`detector=none`" in refusal(shop.root, detector="none")


def test_state_folder_that_cannot_be_made_is_refused(shop, tmp_path):
    (tmp_path / "file").write_text("x")
    assert str(tmp_path / "file") in refusal(shop.root, state=tmp_path / "file" / "state")
