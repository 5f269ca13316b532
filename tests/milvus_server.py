"""A real Milvus server for the tests of one worker."""

import os
from collections.abc import Iterator

import pytest

from benchmarks.milvus.server import milvus_server, unavailable


@pytest.fixture(scope="session")
def milvus_uri() -> Iterator[str]:
    """Its address: `MILVUS_URI` where that is set, else that of a server of this process."""
    if uri := os.environ.get("MILVUS_URI"):
        yield uri
        return
    if reason := unavailable():
        pytest.skip(reason)
    with milvus_server(quick=True) as server:
        yield server.uri
