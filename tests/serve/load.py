"""Searches on several connections, one after the other on each, until the block ends."""

import threading
import time
from typing import Self

import httpx

from tests.search.small_bundle import Shop
from tests.serve.running import PATIENCE, Running


class Load:
    """Keeps a service busy, and keeps its answers.

    Attributes:
        answers: in the order of their arrival.
        lost: what clients raised in place of an answer.
    """

    def __init__(self, started: Running, shop: Shop, *, clients: int = 3) -> None:
        self.answers: list[httpx.Response] = []
        self.lost: list[httpx.TransportError] = []
        self._url, self._photo = f"{started.url}/v1/search?k=3", shop.pictures[0]
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._search) for _ in range(clients)]

    def wait_for(self, more: int) -> None:
        """Wait until so many more searches were answered."""
        wanted, deadline = len(self.answers) + more, time.monotonic() + PATIENCE
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, "searches are not answered"
            time.sleep(0.005)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _search(self) -> None:
        with httpx.Client(timeout=PATIENCE) as client:
            while not self._ended.is_set():
                try:
                    self.answers.append(client.post(self._url, files={"image": ("p.jpg", self._photo)}))
                except httpx.TransportError as error:
                    self.lost.append(error)
