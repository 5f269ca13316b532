"""PostgreSQL's protocol, whoever speaks it."""

from typing import Any

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

__all__ = ["WireDialect"]

_SPOKEN = (13,)


class WireDialect(PGDialect_psycopg):
    """SQLAlchemy's dialect, which refuses a server that does not call itself PostgreSQL, made to take CockroachDB."""

    supports_statement_cache = True

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        try:
            version: tuple[int, ...] = super()._get_server_version_info(connection)  # type: ignore[no-untyped-call]
        except AssertionError:  # "CockroachDB CCL v24.1 ...": it speaks the protocol of PostgreSQL 13.
            return _SPOKEN
        return version
