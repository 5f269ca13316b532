"""One bundle and one in-process application for the whole folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serve.app import create_app
from serve.settings import ServeSettings
from tests.serve.small_bundle import Shop, catalogue, write_bundle


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return write_bundle(tmp_path_factory.mktemp("serve") / "bundle", catalogue(60))


@pytest.fixture(scope="session")
def client(shop: Shop) -> Iterator[TestClient]:
    # Without a cache: what one test sent is as new to the next.
    with TestClient(create_app(shop.root, ServeSettings(cache_mib=0))) as client:
        yield client


@pytest.fixture
def copied(shop: Shop, tmp_path: Path) -> Path:
    """A copy of the bundle, to be damaged."""
    return Path(shutil.copytree(shop.root, tmp_path / "bundle"))
