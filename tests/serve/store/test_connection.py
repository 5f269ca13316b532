import pytest

from serve.store.connection import WireDialect, connect
from src.contracts.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nothing",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://me:secret@h/x",
        "http://secret",
        "postgresql://me:secret@h:port/x",
    ],
)
def test_bad_url_is_refused_without_its_password(url):
    with pytest.raises(ConfigError, match=r"LOOKALIKE_STORE_URL: must be sqlite:///FILE") as caught:
        connect(url, threads=1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["postgresql", "postgres", "cockroachdb", "postgresql+psycopg", "cockroachdb+psycopg"])
def test_servers_are_spoken_to_by_one_driver(kind):
    engine = connect(f"{kind}://me:secret@h:1/x", threads=3)
    assert isinstance(engine.dialect, WireDialect)
    assert "secret" not in repr(engine.url)
    engine.dispose()


def test_version_of_cockroachdb_is_read_as_the_protocol_that_it_speaks():
    class Answer:
        def __init__(self, version: str) -> None:
            self.version = version

        def exec_driver_sql(self, _: str) -> "Answer":
            return self

        def scalar(self) -> str:
            return self.version

    dialect = WireDialect()
    assert dialect._get_server_version_info(Answer("CockroachDB CCL v24.1.2 (x86_64-pc-linux-gnu)")) == (13,)
    assert dialect._get_server_version_info(Answer("PostgreSQL 15.16 (Debian)")) == (15, 16)
