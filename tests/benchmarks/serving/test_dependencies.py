"""Real servers come back after they were killed."""

import shutil
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from benchmarks.serving.dependencies import postgres, redis


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_redis(tmp_path: Path) -> None:
    with redis(tmp_path) as server, Redis(port=server.port) as client:
        client.set("a", 1)
        server.kill()
        server.start()
        assert client.dbsize() == 0


@pytest.mark.skipif(not Path("/usr/lib/postgresql").is_dir(), reason="PostgreSQL is not installed")
def test_postgres_has_what_was_committed(tmp_path: Path) -> None:
    with postgres(tmp_path) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("create table a as select 7 as b")
        server.kill()
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select b from a").fetchone() == (7,)
