"""The server of tests and benchmarks: closed to others, durable, and gone with all of its processes."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from benchmarks.milvus.server import MilvusServer, unavailable
from benchmarks.serving.process_tree import ProcessTree
from src.contracts.errors import LookalikeError
from src.index.milvus_index import MilvusIndex

DIM = 8
VECTORS = np.eye(DIM, dtype=np.float32)
NAMES = [f"image-{row}" for row in range(DIM)]


def other_addresses() -> set[str]:
    """The machine's addresses besides loopback, as far as its name leads to them."""
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return {address for address in found if not address.startswith("127.")}


@pytest.mark.slow
def test_what_it_has_acknowledged_outlives_it(tmp_path: Path) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    server = MilvusServer(tmp_path / "server", quick=True)
    try:
        server.start()
        for address in other_addresses():
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((address, server.port), 2)
        listening = [
            line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
        ]
        # Nothing of it listens in this machine's network, but the forwarder on 127.0.0.1.
        assert not [place for place in listening if place.endswith(f":{19530:04X}")]
        assert f"0100007F:{server.port:04X}" in listening
        with MilvusIndex.create(server.uri, "kept", dim=DIM, kind="FLAT") as index:
            index.upsert(NAMES, NAMES, VECTORS)
            index.delete(NAMES[:2])
        pids = server.tree.pids()
        assert len(pids) >= 2
        server.kill()
        assert not [pid for pid in pids if ProcessTree(pid).resident_mib()]
        with pytest.raises(LookalikeError, match=f"Milvus at {server.uri}"):
            MilvusIndex(server.uri, "kept", timeout=1)
        server.start()
        with MilvusIndex(server.uri, "kept", timeout=60) as index:
            assert len(index) == DIM - 2
            assert index.search(VECTORS[3:4], 1)[1] == [["image-3"]]
        pids = server.tree.pids()
    finally:
        server.stop()
    assert not [pid for pid in pids if ProcessTree(pid).resident_mib()]
    assert os.listdir(tmp_path) == ["server"]
