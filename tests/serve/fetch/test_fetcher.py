import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from serve.errors import Problem
from serve.fetch.fetcher import ImageFetcher
from serve.observe.metrics import Metrics
from tests.serve.fetch.photo_host import PHOTO, certified, photo_host
from tests.serve.running import running
from tests.serve.small_bundle import Shop


@pytest.fixture(scope="module")
def host() -> Iterator:
    with photo_host() as server:
        yield server


class Lying:
    """A resolver that gives other addresses each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def fetcher(port: int, resolver=None, **changed) -> ImageFetcher:
    values = {
        "hosts": f"photos.test:{port}", "allow_http": True, "allow_loopback": True, "max_bytes": 200_000,
        "seconds": 5.0,
        "metrics": Metrics(),
    }  # fmt: skip
    return ImageFetcher(**{**values, **changed}, resolver=resolver or Lying(["127.0.0.1"]))


def fetched(asked: ImageFetcher, path: str, port: int, *, scheme: str = "http") -> bytes:
    return asyncio.run(asked.fetch(f"{scheme}://photos.test:{port}{path}"))


def refused(asked: ImageFetcher, path: str, port: int, *, scheme: str = "http") -> Problem:
    with pytest.raises(Problem) as problem:
        fetched(asked, path, port, scheme=scheme)
    return problem.value


def test_photo_of_a_named_host_is_fetched(host, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # Whoever asks there gets nothing.
    asked = fetcher(host.server_port)
    assert fetched(asked, "/shoe.jpg?w=10", host.server_port) == PHOTO
    path, headers = host.asked[-1]
    assert path == "/shoe.jpg?w=10"
    assert headers["Host"] == f"photos.test:{host.server_port}"
    assert not {"Cookie", "Authorization", "Referer"} & headers.keys()
    assert b'lookalike_image_url_fetches_total{outcome="fetched"} 1.0' in asked._metrics.exposition()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/redirect", 422, "redirects elsewhere"),
        ("/missing", 422, "status 404"),
        ("/packed", 422, "compressed"),
        ("/large", 413, "over 200,000 bytes"),
        ("/endless", 413, "over 200,000 bytes"),
        ("/nothing", 422, "did not speak HTTP"),
    ],
)
def test_what_is_no_photo_is_told_in_words(host, path, status, words):
    before = len(host.asked)
    problem = refused(fetcher(host.server_port), path, host.server_port)
    assert problem.status == status
    assert words in problem.detail
    assert "secret" not in problem.detail
    assert len(host.asked) == before + 1  # The redirect was not followed.


def test_time_has_an_end(host):
    started = time.perf_counter()
    assert "within 0.3 seconds" in refused(fetcher(host.server_port, seconds=0.3), "/slow", host.server_port).detail
    assert time.perf_counter() - started < 3


def test_slow_resolver_has_an_end_too(host):
    async def asleep(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    assert "within 0.2 seconds" in refused(fetcher(1, asleep, seconds=0.2), "/", 1).detail


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"]])
def test_name_that_leads_inside_is_refused_and_nothing_is_sent(host, addresses):
    before = len(host.asked)
    problem = refused(fetcher(host.server_port, Lying(addresses), allow_loopback=False), "/", host.server_port)
    assert problem.kind == "image-url-refused"
    assert addresses[0] not in problem.detail
    assert len(host.asked) == before


def test_one_inner_address_among_public_ones_is_enough_to_refuse(host):
    lying = Lying(["93.184.215.14", "127.0.0.1"])
    assert refused(fetcher(host.server_port, lying, allow_loopback=False), "/", host.server_port).status == 422


def test_loopback_setting_opens_loopback_only(host):
    for address in ("10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"):
        problem = refused(fetcher(host.server_port, Lying([address])), "/", host.server_port)
        assert problem.kind == "image-url-refused"


def test_name_that_means_another_address_a_moment_later_gains_nothing(host):
    """DNS rebinding: the answer that was checked is the one that is used."""
    lying = Lying(["127.0.0.1"], ["10.0.0.1"])
    assert fetched(fetcher(host.server_port, lying), "/", host.server_port) == PHOTO
    assert lying.asked == 1
    # The other way round: a public address first, the inner one afterwards; no second question is asked.
    lying = Lying(["192.0.2.1"], ["127.0.0.1"])
    before = len(host.asked)
    refused(fetcher(host.server_port, lying, allow_loopback=False, seconds=0.5), "/", host.server_port)
    assert (lying.asked, len(host.asked)) == (1, before)


def test_next_address_is_tried_where_the_first_is_closed(host):
    assert fetched(fetcher(host.server_port, Lying(["127.0.0.2", "127.0.0.1"])), "/", host.server_port) == PHOTO
    assert "cannot be reached" in refused(fetcher(1), "/", 1).detail
    assert "no address" in refused(fetcher(1, Lying([])), "/", 1).detail


def test_certificate_must_be_of_the_name_and_not_of_the_address(tmp_path):
    server, trusting = certified(tmp_path, "photos.test")
    with photo_host(server) as host:
        port = host.server_port
        assert fetched(fetcher(port, tls=trusting), "/", port, scheme="https") == PHOTO
        assert "cannot be reached" in refused(fetcher(port), "/", port, scheme="https").detail
        _, other = certified(tmp_path, "other.test")
        assert "cannot be reached" in refused(fetcher(port, tls=other), "/", port, scheme="https").detail
        mine = ImageFetcher(
            hosts=f"other.test:{port}", allow_http=False, allow_loopback=True, max_bytes=10**6, seconds=5,
            metrics=Metrics(), resolver=Lying(["127.0.0.1"]), tls=trusting,
        )  # fmt: skip
        with pytest.raises(Problem, match="cannot be reached"):
            asyncio.run(mine.fetch(f"https://other.test:{port}/"))


def test_service_searches_with_a_photo_from_the_web_only_when_it_is_set_to(host, shop: Shop):
    url = f"http://localhost:{host.server_port}/shoe.jpg"
    options = ["--image-url-hosts", f"localhost:{host.server_port}", "--image-url-http", "true"]
    with running(["--bundle", str(shop.root), *options, "--image-url-loopback", "true"]) as started:
        form = {"image_url": (None, url), "k": (None, "3")}
        found = httpx.post(f"{started.url}/v1/search", files=form)
        assert found.status_code == 200
        assert (
            found.json()["results"]
            == httpx.post(f"{started.url}/v1/search?k=3", files={"image": PHOTO}).json()["results"]
        )
        page = httpx.post(f"{started.url}/v1/search", files={"image_url": (None, url.replace("shoe.jpg", "page"))})
        assert page.status_code == 415  # A page by its bytes, whatever its type says.
        both = httpx.post(f"{started.url}/v1/search", files={**form, "image": PHOTO})
        assert "a file `image` or one `image_url`" in both.json()["detail"]
        assert 'lookalike_image_url_fetches_total{outcome="fetched"} 2.0' in httpx.get(f"{started.url}/metrics").text
    with running(["--bundle", str(shop.root), *options]) as started:
        inside = httpx.post(f"{started.url}/v1/search", files={"image_url": (None, url)})
        assert (inside.status_code, inside.json()["title"]) == (422, "Image url refused")


def test_it_is_off_by_default(client):
    answer = client.post("/v1/search", files={"image_url": (None, "https://cdn.example.com/x.jpg")})
    assert (answer.status_code, answer.json()["title"]) == (422, "Image url off")
