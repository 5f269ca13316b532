"""One small bundle, opened once."""

import pytest

from src.search import Searcher
from tests.search.small_bundle import Shop, catalogue, write_bundle


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return write_bundle(tmp_path_factory.mktemp("search") / "bundle", catalogue(40))


@pytest.fixture(scope="session")
def searcher(shop: Shop) -> Searcher:
    return Searcher.open(shop.root, threads=1)
