import threading

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from serve.app import create_app
from serve.service import Service
from serve.settings import ServeSettings
from src.contracts.errors import BundleError, ConfigError
from tests.search.small_bundle import picture
from tests.serve.shop_database import make_table


def service_threads() -> set[str]:
    names = ("decode", "search", "encoder", "store", "hash", "lookup")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(names)}


def test_everything_that_was_started_has_ended_afterwards(shop, tmp_path):
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    make_table(url, shop)
    before = service_threads()
    app = create_app(shop.root, ServeSettings(store_url=SecretStr(url), state=tmp_path / "state"))
    service = app.state.service
    assert not service.ready
    with TestClient(app) as client:
        assert service.ready
        assert client.post("/v1/search", files={"image": ("p", picture(1))}).status_code == 200
        assert service_threads() > before
    assert not service.ready
    assert service_threads() == before
    with TestClient(create_app(shop.root, ServeSettings(state=tmp_path / "state"))) as again:
        assert again.get("/readyz").status_code == 200, "the state folder was released"


def test_bundle_that_cannot_be_served_leaves_nothing_behind(tmp_path):
    before = service_threads()
    service = Service(tmp_path / "none", ServeSettings(state=tmp_path / "state"))
    for _ in range(2):  # The second one would find the state folder locked.
        app = create_app(tmp_path / "none", ServeSettings(state=tmp_path / "state"))
        with pytest.raises(BundleError), TestClient(app):
            pass
    assert not service.ready
    assert service_threads() == before


@pytest.mark.parametrize("name", ["redis_url", "store_url"])
def test_address_that_is_none_is_an_error_before_anything_is_loaded(tmp_path, name):
    with pytest.raises(ConfigError, match=f"LOOKALIKE_{name.upper()}"):
        Service(tmp_path / "none", ServeSettings(**{name: SecretStr("nonsense")}))
