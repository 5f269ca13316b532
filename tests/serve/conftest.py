"""One bundle, one in-process application and one process for the whole folder."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serve.app import create_app
from serve.settings import PREFIX, ServeSettings
from tests.search.small_bundle import Shop, catalogue, write_bundle
from tests.serve.running import TOKEN, Running, running

for _name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
    del os.environ[_name]  # Settings of whoever runs the tests.


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return write_bundle(tmp_path_factory.mktemp("serve") / "bundle", catalogue(60))


@pytest.fixture(scope="session")
def client(shop: Shop) -> Iterator[TestClient]:
    # Without a cache: what one test sent is as new to the next.
    with TestClient(create_app(shop.root, ServeSettings(cache_mib=0))) as client:
        yield client


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of `service`."""
    return tmp_path_factory.mktemp("service") / "state"


@pytest.fixture(scope="session")
def service(shop: Shop, state: Path) -> Iterator[Running]:
    """A process with default settings that takes changes of items; tests leave it as they found it."""
    environment = {"LOOKALIKE_TOKEN": TOKEN}
    with running(["--bundle", str(shop.root), "--state", str(state)], environment=environment) as started:
        yield started
        code, errors = started.stop()
        assert code == 0, errors
        assert "Traceback" not in errors, errors


@pytest.fixture
def copied(shop: Shop, tmp_path: Path) -> Path:
    """A copy of the bundle, to be damaged."""
    return Path(shutil.copytree(shop.root, tmp_path / "bundle"))
