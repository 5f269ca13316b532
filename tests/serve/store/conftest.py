"""Each kind of database, with the shop's table in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search.small_bundle import Shop
from tests.serve.servers import PostgresServer, postgres_server
from tests.serve.shop_database import make_table


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, shop: Shop, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url
    make_table(url, shop)
    return url
