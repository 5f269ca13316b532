"""A real service under more load than it can carry."""

import asyncio
import itertools
import time
from urllib.parse import urlsplit

import numpy as np

from benchmarks.serving.connection import Connection
from tests.search.small_bundle import picture
from tests.serve.raw_http import END, PART, form_head
from tests.serve.running import Running

USERS = 200
SECONDS = 3.0
ROUNDS = 3
"""The service shares its cores with others: a pause of theirs is not its fault, and is not there each time."""


def search(number: int, photo: bytes) -> bytes:
    """A search by a photo that no other request has: decoders stop at the end of the picture."""
    body = PART + photo + number.to_bytes(4) + END
    return form_head(len(body)) + body


async def load(url: str, numbers: "itertools.count[int]") -> tuple[list[float], set[int]]:
    """The seconds of the searches that were answered, but for those of the first second, and all statuses."""
    address = urlsplit(url)
    photos = [picture(number) for number in range(50)]
    begin = time.perf_counter()
    answered: list[float] = []
    statuses: set[int] = set()

    async def user() -> None:
        connection = await Connection.open(address.hostname, address.port)
        while (sent := time.perf_counter()) < begin + SECONDS:
            number = next(numbers)
            answer = await connection.ask(search(number, photos[number % 50]))
            statuses.add(answer.status)
            if answer.status == 200 and sent > begin + 1:
                answered.append(time.perf_counter() - sent)
        connection.close()

    await asyncio.gather(*(user() for _ in range(USERS)))
    return answered, statuses


def test_no_search_of_200_clients_starves(service: Running):
    numbers = itertools.count()
    ratios = []
    for _ in range(ROUNDS):
        seconds, statuses = asyncio.run(load(service.url, numbers))
        assert statuses <= {200, 503}
        assert len(seconds) > USERS
        median, late = np.percentile(seconds, [50, 99])
        ratios.append(late / median)
        if ratios[-1] <= 3:
            return
    raise AssertionError(f"P99 is {ratios} times P50")
