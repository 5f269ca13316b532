"""Both kinds of store, each with the same small catalogue."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from serve.store.connection import connect, store_url
from src.contracts.bundle import Bundle, open_bundle
from tests.serve.servers import PostgresServer, postgres_server
from tests.serve.small_bundle import Shop


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "sqlite://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    server = request.getfixturevalue("postgres")
    server.execute("DROP TABLE IF EXISTS items, load_state")
    return server.url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = connect(store_url(url), threads=2)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def bundle(shop: Shop) -> Bundle:
    return open_bundle(shop.root)


def rows(engine: Engine) -> dict[str, dict]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT * FROM items")).mappings()
        return {row["item_id"]: dict(row) for row in found}


def items_of(shop: Shop) -> dict[str, dict]:
    """Each item, as any of its images has it."""
    return {row["item_id"]: row for row in shop.rows()}
