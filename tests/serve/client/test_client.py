import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from serve.access.keys import Role, new_key
from serve.client import Client, ServiceError, ServiceUnreachableError
from serve.client import __main__ as command_line
from serve.client import client as module
from serve.schemas import Results
from src.contracts.errors import ConfigError
from tests.serve.running import ROOT, running
from tests.serve.small_bundle import Shop, picture


@pytest.fixture(scope="module")
def url(shop: Shop) -> Iterator[str]:
    with running(["--bundle", str(shop.root)]) as started:
        yield started.url
        assert started.stop()[0] == 0


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for, none of which is waited."""
    asked: list[float] = []
    monkeypatch.setattr(module.time, "sleep", asked.append)
    return asked


def answering(
    *answers: Callable[[httpx.Request], httpx.Response], retries: int = 3
) -> tuple[Client, list[httpx.Request]]:
    """A client whose service answers like this, one after the other."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answers[min(len(asked), len(answers)) - 1](request)

    return Client("http://service", retries=retries, transport=httpx.MockTransport(answer)), asked


def full(after: str = "2") -> Callable[[httpx.Request], httpx.Response]:
    headers = {"Retry-After": after, "content-type": "application/problem+json"}
    problem = {"type": "urn:lookalike:problem:overloaded", "title": "Overloaded", "status": 503, "detail": "full",
               "request_id": "abc"}  # fmt: skip
    return lambda _: httpx.Response(503, json=problem, headers=headers)


def found(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"results": [], "bundle_id": "b", "k": 3, "timings_ms": {}, "something": "new"})


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_photo_item_picture_and_bundle_of_a_real_service(url, shop, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(shop.pictures[3])
    with Client(url) as client:
        by_path = client.search(path, k=5)
        assert by_path.results[0].item_id == shop.rows()[3]["item_id"]
        assert client.search(shop.pictures[3], k=5).results == by_path.results
        filtered = client.search(path, category=["shoes", "bags"], in_stock=True, price_max=100.0, brand=None)
        assert {one.category for one in filtered.results} <= {"shoes", "bags"}
        assert all(one.in_stock and one.price <= 100 for one in filtered.results)
        odd = by_path.results[0]
        assert odd.item_id not in [one.item_id for one in client.similar(odd.item_id).results]
        assert client.thumbnail(odd.image_id) == shop.pictures[3]
        assert client.bundle().images == len(shop.rows())


def test_batch_regions_and_explanation_of_a_real_service(url, shop):
    with Client(url) as client:
        good, bad = client.search_batch([shop.pictures[3], picture(1)[:500]], k=2)
        assert good.problem is None
        assert good.answer.results[0].item_id == shop.rows()[3]["item_id"]
        assert bad.answer is None
        assert (bad.problem.status, len(bad.problem.request_id)) == (422, 32)
        assert all(len(region.box) == 4 for region in client.regions(picture(1)))
        item_id = shop.rows()[3]["item_id"]
        explained = client.explain(shop.pictures[3], item_id, box="0,0,1,1")
        assert (explained.item_id, len(explained.query.losses)) == (item_id, 7)


def test_items_are_changed_with_a_key_that_may(shop, tmp_path):
    key, line = new_key("shop", Role.WRITE)
    settings = {"LOOKALIKE_KEYS": line.line(), "LOOKALIKE_STATE": str(tmp_path / "state")}
    bundles = ["--bundle", str(shop.root), "--bundles", str(shop.root.parent)]
    with running(bundles, environment=settings) as started, Client(started.url, key=key) as client:
        added = client.put_item("new/1 ö", [picture(900_001)], category="shoes", price=19.5, in_stock=True)
        assert len(added.image_ids) == 1
        found = client.search(picture(900_001), k=1).results[0]
        assert (found.item_id, found.category, found.price, found.in_stock) == ("new/1 ö", "shoes", 19.5, True)
        client.change_item("new/1 ö", in_stock=False)
        assert client.search(picture(900_001), k=1).results[0].in_stock is False
        client.delete_item("new/1 ö")
        assert client.search(picture(900_001), k=1).results[0].item_id != "new/1 ö"
        with Client(started.url) as stranger, pytest.raises(ServiceError) as refused:
            stranger.delete_item("new/1 ö")
        assert refused.value.status == 401


def test_problem_becomes_an_exception_with_its_request_id(url):
    with Client(url) as client:
        with pytest.raises(ServiceError, match="truncated or damaged") as error:
            client.search(picture(1)[:500])
        assert (error.value.status, error.value.kind) == (422, "corrupt-image")
        assert len(error.value.request_id) == 32
        assert error.value.request_id in str(error.value)
        with pytest.raises(ServiceError, match="is unknown; allowed are"):
            client.search(picture(1), colour="red")
        with pytest.raises(ServiceError) as error:
            client.similar("../../etc/passwd")
        assert error.value.kind == "unknown-item"


def test_full_service_is_asked_again_after_the_time_it_names(waits):
    client, asked = answering(full("2"), full("3"), found)
    assert client.search(b"x").k == 3
    assert len(asked) == 3
    assert len(asked[0].content) == len(asked[2].content)  # But for the boundary, the same.
    assert [int(wait) for wait in waits] == [2, 3]


def test_full_service_is_given_up_in_the_end(waits):
    client, asked = answering(full("100000"), retries=2)
    with pytest.raises(ServiceError) as error:
        client.search(b"x")
    assert (error.value.status, error.value.request_id, len(asked)) == (503, "abc", 3)
    assert max(waits) < 6  # Not the day that the service asks for.


@pytest.mark.parametrize("status", [400, 401, 413, 422, 500, 504])
def test_nothing_else_is_asked_again(waits, status):
    client, asked = answering(lambda _: httpx.Response(status, text="<html>proxy</html>"))
    with pytest.raises(ServiceError) as error:
        client.search(b"x")
    assert (error.value.status, len(asked), waits) == (status, 1, [])


def test_broken_connection_is_tried_again_and_told_in_words(waits):
    client, asked = answering(broken, found)
    assert client.search(b"x").k == 3
    assert len(asked) == 2
    client, asked = answering(broken, retries=1)
    with pytest.raises(ServiceUnreachableError, match="is the service running"):
        client.search(b"x")
    assert len(asked) == 2
    assert all(0 < wait < 1 for wait in waits)


def test_another_server_at_the_address_is_told_in_words():
    client, _ = answering(lambda _: httpx.Response(200, text="<html>"))
    with pytest.raises(ServiceUnreachableError, match="no answer of a Lookalike service"):
        client.bundle()


def test_what_is_wrong_before_anything_is_sent():
    with pytest.raises(ConfigError, match="must begin with http"):
        Client("localhost:8000")
    client, asked = answering(found)
    with pytest.raises(ConfigError, match="cannot be read"):
        client.search(Path("/no/such/photo.jpg"))
    assert asked == []


def test_key_is_sent_and_shown_nowhere(waits):
    client = Client("http://service", key="lk_secret", transport=httpx.MockTransport(found))
    assert "lk_secret" not in repr(client)
    seen = []
    client = Client("http://s", key="lk_k", transport=httpx.MockTransport(lambda r: seen.append(r) or found(r)))
    client.similar("a/b ö")
    assert seen[0].headers["authorization"] == "Bearer lk_k"
    assert seen[0].url.raw_path == b"/v1/items/a%2Fb%20%C3%B6/similar"


def test_it_loads_nothing_of_the_service():
    heavy = ("numpy", "faiss", "fastapi", "PIL", "pyarrow")
    code = f"import sys, serve.client.__main__; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "serve.client", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_command_line_prints_a_table_and_json(url, shop, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(shop.pictures[3])
    table = command("search", str(path), "--url", url, "--k", "3")
    assert table.returncode == 0, table.stderr
    lines = table.stdout.splitlines()
    assert lines[0].split()[:3] == ["rank", "score", "item"]
    assert lines[1].split()[:2] == ["1", "1.000"]
    assert shop.rows()[3]["item_id"] in lines[1]
    assert len(lines) == 5
    whole = command("search", str(path), "--url", url, "--k", "3", "--category", "shoes", "--json")
    assert {one["category"] for one in httpx.Response(200, text=whole.stdout).json()["results"]} == {"shoes"}
    similar = command("similar", shop.rows()[3]["item_id"], "--url", url)
    assert len(similar.stdout.splitlines()) == 12
    assert f"{len(shop.rows())} images" in command("bundle", "--url", url).stdout


def test_command_line_says_what_is_wrong_and_ends_with_2(url, tmp_path):
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(picture(1)[:500])
    for arguments, words in (
        (["search", str(damaged), "--url", url], "truncated or damaged"),
        (["search", "/no/such.jpg", "--url", url], "cannot be read"),
        (["search", str(damaged), "--url", "http://127.0.0.1:9", "--retries", "0"], "cannot be reached"),
        (["search", str(damaged), "--url", "nowhere"], "must begin with http"),
        (["search"], "photo"),
        ([], "COMMAND"),
    ):
        done = command(*arguments)
        assert done.returncode == 2, arguments
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert "--price-max" in command("search", "--help").stdout


def test_command_line_says_where_no_pictures_were_compared():
    answer = Results(results=[], rung="trending", bundle_id="b" * 64, k=3)
    assert "answered by trending, not by the picture" in command_line._told(answer)
    assert "answered" not in command_line._told(answer.model_copy(update={"rung": "cache"}))
