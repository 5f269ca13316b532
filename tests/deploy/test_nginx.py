"""The nginx example, run before a real service."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urljoin

import httpx
import pytest

from tests.deploy.files import DEPLOY
from tests.search.small_bundle import Shop, picture
from tests.serve.running import PATIENCE, running
from tests.serve.servers import free_port

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed (Debian: nginx-light)")

TOKEN = {"Authorization": "Bearer t"}


@pytest.fixture(scope="module")
def proxied(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of nginx before a service that runs with `--root-path /visual`."""
    folder = tmp_path_factory.mktemp("nginx")
    arguments = ["--bundle", str(shop.root), "--root-path", "/visual", "--state", str(folder / "state")]
    with running(arguments, environment={"LOOKALIKE_TOKEN": "t"}) as service:
        port = free_port()
        example = (DEPLOY / "nginx" / "lookalike.conf").read_text()
        example = example.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        example = example.replace("127.0.0.1:8000", service.url.removeprefix("http://"))
        (folder / "lookalike.conf").write_text(example)
        (folder / "nginx.conf").write_text(_main(folder))
        nginx = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"])
        try:
            _wait_until_it_listens(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            nginx.terminate()
            nginx.wait(PATIENCE)


def _main(folder: Path) -> str:
    places = " ".join(
        f"{name}_temp_path {folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
        pid {folder / "pid"};
        error_log {folder / "error.log"};
        worker_processes 1;
        events {{ worker_connections 256; }}
        http {{ access_log off; {places} include {folder / "lookalike.conf"}; }}
    """


def _wait_until_it_listens(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(url)
        except httpx.ConnectError:
            assert time.monotonic() < end, "nginx does not listen"
            time.sleep(0.02)
        else:
            return


def test_page_and_pictures_work_below_the_prefix(proxied: str) -> None:
    assert httpx.get(f"{proxied}/visual").headers["location"].endswith("/visual/")
    page = httpx.get(f"{proxied}/visual/")
    assert page.status_code == 200
    for link in re.findall(r'(?:src|href)="([^"]+\.(?:js|css|svg))"', page.text):
        assert httpx.get(urljoin(f"{proxied}/visual/", link)).status_code == 200, link
    example = httpx.get(f"{proxied}/visual/v1/bundle").json()["examples"][0]
    assert httpx.get(proxied + example["thumbnail"]).headers["content-type"] == "image/jpeg"


def test_searches_pass_with_their_request_id(proxied: str, shop: Shop) -> None:
    answer = httpx.post(f"{proxied}/visual/v1/search", files={"image": picture(1)}, params={"k": 3})
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 3
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    item_id = shop.rows()[0]["item_id"]
    assert {"/", " ", "ö"} <= set(item_id)
    similar = httpx.get(f"{proxied}/visual/v1/items/{quote(item_id, safe='')}/similar")
    assert similar.status_code == 200
    assert similar.json()["results"][0]["item_id"] != item_id


def test_what_is_large_is_refused_and_what_is_inside_stays_inside(proxied: str) -> None:
    assert httpx.post(f"{proxied}/visual/v1/search", content=bytes(21 * 2**20)).status_code == 413
    for path in ("metrics", "livez", "readyz", "v1/admin/bundle", "v1/admin/bundle/rollback"):
        assert httpx.get(f"{proxied}/visual/{path}", headers=TOKEN).status_code == 404


def test_items_are_written_through_it_from_inside_only_with_the_token(proxied: str) -> None:
    put = httpx.put(f"{proxied}/visual/v1/items/new%2Fö", files={"image": picture(9)}, headers=TOKEN)
    assert put.status_code == 200
    assert put.json()["item_id"] == "new/ö"
    assert httpx.delete(f"{proxied}/visual/v1/items/new%2Fö").status_code == 401


def test_a_burst_from_one_client_is_limited(proxied: str) -> None:
    with httpx.Client() as client:
        statuses = [client.get(f"{proxied}/visual/v1/images/none").status_code for _ in range(120)]
    assert set(statuses) == {404, 429}
