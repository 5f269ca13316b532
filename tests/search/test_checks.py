"""A bundle whose parts do not belong together is found before it serves."""

import numpy as np
import pytest

from src.contracts.errors import GateError
from src.search import Searcher
from src.search.checks import check_finds
from src.search.gallery import Gallery
from src.search.trending import Trending
from tests.search.small_bundle import write_bundle


def test_a_good_bundle_finds_its_own_items(searcher: Searcher) -> None:
    assert check_finds(searcher) == "100% of 32 pictures find their own item, recall@10 1.000"


class Turned:
    """An encoder that the index was not made with."""

    def __init__(self, encoder) -> None:
        self.size, self.description, self._encoder = encoder.size, encoder.description, encoder
        self._turn = np.linalg.qr(np.random.default_rng(0).normal(size=(48, 48)))[0].astype(np.float32)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        return self._encoder.embed(pixels) @ self._turn


def test_an_encoder_of_another_index_finds_nothing_of_its_own(searcher: Searcher) -> None:
    other = Searcher(bundle=searcher.bundle, encoder=Turned(searcher.encoder), gallery=searcher.gallery)
    with pytest.raises(GateError, match=r"[0-4]?\d% of 32 catalogue pictures .* do not belong together"):
        check_finds(other)


class OwnOnly:
    """An index that finds the nearest row and nothing else."""

    def __init__(self, index) -> None:
        self._index, self.dim = index, index.dim

    def __len__(self) -> int:
        return len(self._index)

    def search(self, vectors, k, allowed=None):
        scores, rows = self._index.search(vectors, k, allowed)
        scores[:, 1:], rows[:, 1:] = -np.inf, -1
        return scores, rows

    def vectors(self, rows):
        return self._index.vectors(rows)


def with_index(searcher: Searcher, index, pictures) -> Searcher:
    gallery = Gallery(index=index, items=searcher.gallery.items, words=None, trending=Trending({}), pictures=pictures)
    return Searcher(bundle=searcher.bundle, encoder=searcher.encoder, gallery=gallery)


def test_an_index_that_finds_too_little_is_refused(searcher: Searcher) -> None:
    poor = with_index(searcher, OwnOnly(searcher.gallery.index), searcher.gallery._pictures)
    with pytest.raises(GateError, match=r"recall@10 against exact search is 0\.1\d\d .* must be at least 0\.950"):
        check_finds(poor)


def test_without_pictures_there_is_nothing_to_search_with(searcher: Searcher, tmp_path) -> None:
    assert check_finds(with_index(searcher, searcher.gallery.index, None)) == "no pictures to search with"
    empty = write_bundle(tmp_path / "empty", [])
    assert check_finds(Searcher.open(empty.root, threads=1)) == "no pictures to search with"


def test_a_large_index_is_not_compared_with_exact_search(searcher: Searcher, monkeypatch) -> None:
    monkeypatch.setattr("src.search.checks._EXACT_ROWS", 10)
    assert check_finds(searcher) == "100% of 32 pictures find their own item"
