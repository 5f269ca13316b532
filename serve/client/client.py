"""Searches over HTTP."""

import random
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from serve.client.errors import ServiceError, ServiceUnreachableError
from serve.schemas import BatchAnswer, BatchResults, Bundle, Changed, Explanation, RegionFound, Regions, Results
from src.contracts.errors import ConfigError

__all__ = ["Client"]

_BUSY = frozenset({429, 503})
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 5.0

Answer = TypeVar("Answer", bound=BaseModel)


class Client:
    """Asks one service. Safe to use from many threads; close it, or use it in a `with`.

    A service that is full says so (503), one key may ask only so often (429): such a request is sent again after the
    time that the answer names. Whatever is asked may be asked twice, so that a request whose connection broke is sent
    again too.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: where the service is, such as http://127.0.0.1:8000.
            key: API key, for a service that asks for one.
            timeout: seconds that one try may take.
            retries: tries after the first.
            transport: what carries the requests; None takes the network.

        Raises:
            ConfigError: a URL that is none.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"`{url}` must begin with http:// or https://, such as http://127.0.0.1:8000")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._retries = retries
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(self, photo: Path | bytes, **asked: Any) -> Results:
        """Items that look like a photo.

        Args:
            photo: an image file, by its path or its bytes.
            asked: `k` and filters as the API names them (`category`, `brand`, `color`, `price_min`, `price_max`,
                `in_stock`, ...); a list gives a field several times, None leaves it out.

        Raises:
            ServiceError: the service said no.
            ServiceUnreachableError: it did not answer.
            ConfigError: the file cannot be read.
        """
        return self._ask(Results, "POST", "/v1/search", params=_fields(asked), files=[_file(photo)])

    def search_batch(self, photos: Iterable[Path | bytes], **asked: Any) -> list[BatchAnswer]:
        """Items that look like each of several photos; one that cannot be searched with has its own problem.

        Args:
            photos: image files, as in `search`; how many at once, `bundle().limits.max_images` says.
            asked: as in `search`.
        """
        files = [_file(photo) for photo in photos]
        return self._ask(BatchResults, "POST", "/v1/search/batch", params=_fields(asked), files=files).answers

    def regions(self, photo: Path | bytes) -> list[RegionFound]:
        """Where a photo shows objects, best first; each is a `box` to search with."""
        return self._ask(Regions, "POST", "/v1/regions", files=[_file(photo)]).regions

    def explain(self, photo: Path | bytes, item_id: str, *, box: str | None = None) -> Explanation:
        """Which parts of a photo and of an item make the two alike."""
        form = {"item_id": item_id} | ({"box": box} if box else {})
        return self._ask(Explanation, "POST", "/v1/explain", files=[_file(photo)], data=form)

    def search_url(self, image_url: str, **asked: Any) -> Results:
        """Items that look like a photo of the web, which the service fetches where it is set to; see `search`."""
        form = {"image_url": (None, image_url)}
        return self._ask(Results, "POST", "/v1/search", params=_fields(asked), files=form)

    def similar(self, item_id: str, **asked: Any) -> Results:
        """Items that look like an item; see `search`."""
        path = f"/v1/items/{quote(item_id, safe='')}/similar"
        return self._ask(Results, "GET", path, params=_fields(asked))

    def thumbnail(self, image_id: str) -> bytes:
        """An image of the catalogue, small, as JPEG."""
        return self._send("GET", f"/v1/images/{quote(image_id, safe='')}").content

    def put_item(self, item_id: str, photos: Iterable[Path | bytes], **attributes: Any) -> Changed:
        """Add an item, or replace all of it; searches see it when this returns. Needs a key of the role `write`.

        Args:
            item_id: its id.
            photos: its images.
            attributes: `category`, `brand`, `color`, `parent_id`, `price`, `in_stock`; what is left out is null.
        """
        files, form = [_file(photo) for photo in photos], dict(_fields(attributes))
        return self._ask(Changed, "PUT", f"/v1/items/{quote(item_id, safe='')}", files=files, data=form)

    def change_item(self, item_id: str, **attributes: Any) -> Changed:
        """Change an item's `price`, `in_stock` or both. Needs a key of the role `write`."""
        return self._ask(Changed, "PATCH", f"/v1/items/{quote(item_id, safe='')}", json=attributes)

    def delete_item(self, item_id: str) -> Changed:
        """Remove an item from the results. Needs a key of the role `write`."""
        return self._ask(Changed, "DELETE", f"/v1/items/{quote(item_id, safe='')}")

    def bundle(self) -> Bundle:
        """What is served."""
        return self._ask(Bundle, "GET", "/v1/bundle")

    def _ask(self, kind: type[Answer], method: str, path: str, **request: Any) -> Answer:
        response = self._send(method, path, **request)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError:
            raise ServiceUnreachableError(
                f"{response.url} gave no answer of a Lookalike service; check the address"
            ) from None

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        for tried in range(self._retries + 1):
            last = tried == self._retries
            try:
                response = self._http.request(method, path, **request)
            except httpx.TimeoutException:
                raise ServiceUnreachableError(f"{self._http.base_url} did not answer in time") from None
            except httpx.TransportError as error:
                if last:
                    raise ServiceUnreachableError(
                        f"{self._http.base_url} cannot be reached ({error}); is the service running?"
                    ) from None
                time.sleep(_backoff(tried))
                continue
            if response.is_success:
                return response
            if last or response.status_code not in _BUSY:
                raise ServiceError.of(response)
            time.sleep(_named_wait(response, tried))
        raise AssertionError("the last try returns or raises")


def _fields(asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields = []
    for name, value in asked.items():
        several = isinstance(value, Iterable) and not isinstance(value, str)
        for one in value if several else [value]:
            if one is not None:
                fields.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return fields


def _file(photo: Path | bytes) -> tuple[str, tuple[str, bytes]]:
    return "image", ("photo", photo) if isinstance(photo, bytes) else (photo.name, _read(photo))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name an image file") from None


def _named_wait(response: httpx.Response, tried: int) -> float:
    """The seconds of `Retry-After`, with a little more for each client, so that they do not all come back at once."""
    named = response.headers.get("retry-after", "")
    if not named.isdecimal():
        return _backoff(tried)
    return min(float(named), _LONGEST_WAIT) + random.uniform(0, _FIRST_WAIT)  # noqa: S311 - no secret


def _backoff(tried: int) -> float:
    return min(_FIRST_WAIT * 2**tried, _LONGEST_WAIT) * random.uniform(0.5, 1)  # noqa: S311 - no secret
