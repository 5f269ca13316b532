"""One bundle that can be watched, for the folder."""

import pytest

from tests.monitoring.watched_bundle import write_watched
from tests.search.small_bundle import Shop


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return write_watched(tmp_path_factory.mktemp("watched") / "bundle")
