"""Images and tables in an object store: the batch with `s3://` on both sides."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from src.contracts.settings import DataSettings
from tests.pipelines.small_run import rows_of, run, write_encoder_bundle


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A process: the package deltalake holds Python's lock during some of its requests.
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    try:
        wait_for(port)
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("catalogue")
        yield "s3://catalogue"
    finally:
        server.kill()
        server.wait()


def wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.1)


def test_images_and_tables_of_a_bucket(tmp_path: Path, bucket: str, folder_catalogue, data_settings) -> None:
    bundle = write_encoder_bundle(tmp_path / "bundle")
    root = folder_catalogue(tmp_path / "items", items=4, images=2, side=64)
    images = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    for image in images[1:]:
        store.pipe_file(f"catalogue/{image}", (root / image).read_bytes())
    lines = [f"{image.split('/')[0]},{bucket}/{image}" for image in images]
    (root / "items.csv").write_text("\n".join(["item_id,image", *lines]))
    data: DataSettings = data_settings(
        reader="manifest", root=str(root), manifest="items.csv", val_fraction=0.0, test_fraction=0.0
    )
    output = f"{bucket}/tables"
    published = tmp_path / "published"
    summary = run(bundle, output, data, publish=str(published))
    assert summary.counts == {"out": 7, "quarantined:missing": 1}
    assert summary.done["embedded"] == len(rows_of(output, "embeddings")) == 7
    assert run(bundle, output, data).done == {"unchanged": 8}
    store.pipe_file(f"catalogue/{images[2]}", (root / images[3]).read_bytes())
    store.pipe_file(f"catalogue/{images[0]}", (root / images[0]).read_bytes())
    third = run(bundle, output, data)
    assert third.done == {"embedded": 2, "normalised": 2, "unchanged": 6}
    assert not [name for name in store.find("catalogue/tables/_work") if not name.endswith("/")]
