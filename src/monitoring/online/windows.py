"""Metrics of the running service in windows of event time, from batches of the interactions stream.

The watermark is the latest event time seen, less the allowed lateness. A window is open until the watermark passes
its end: a late event changes it until then, and is only counted as too late afterwards. Replayed events count once.
Only open windows are in memory.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import ConfigError
from src.contracts.tables import validate_interactions

__all__ = ["COUNTS", "RATES", "OnlineWindows"]

RATES = {
    "ctr": "clicks / impressions",
    "ctr@1": "first_clicks / first_impressions",
    "cart": "cart_sessions / sessions",
    "conversion": "purchase_sessions / sessions",
    "revenue_per_session": "revenue / sessions",
    "session_depth": "pages / sessions",
}
"""Each rate as SQL of the counts. Session depth is result pages a session."""

COUNTS = {
    "sessions": "count(DISTINCT session_id) FILTER (event = 'impression')",
    "pages": "count(DISTINCT (session_id, query_image_id, exposure_id)) FILTER (event = 'impression')",
    "impressions": "count(*) FILTER (event = 'impression')",
    "clicks": "count(*) FILTER (event = 'click')",
    "first_impressions": "count(*) FILTER (event = 'impression' AND rank = 1)",
    "first_clicks": "count(*) FILTER (event = 'click' AND rank = 1)",
    "cart_sessions": "count(DISTINCT session_id) FILTER (event = 'cart')",
    "purchase_sessions": "count(DISTINCT session_id) FILTER (event = 'purchase')",
    "revenue": "coalesce(sum(price) FILTER (event = 'purchase'), 0)",
}

_KEY = ("window_start", "exposure_id", "session_id", "query_image_id", "item_id", "rank", "event")
_GROUPS = "(window_start), (window_start, category), (window_start, variant), (window_start, category, variant)"


class OnlineWindows:
    """Counts events into windows.

    Args:
        window: length of a window; windows begin at multiples of it since 1970 (UTC).
        lateness: how late an event may be.

    Attributes:
        replayed: events that were seen before, in a window that was open.
        too_late: events of windows that were closed.
        from_future: events later than their arrival by more than the allowed lateness. They are left out: one wrong
            clock would close all windows.
    """

    def __init__(self, *, window: timedelta, lateness: timedelta) -> None:
        if window <= timedelta(0) or lateness < timedelta(0):
            raise ConfigError(f"window={window}, lateness={lateness}: must be positive, and not negative")
        self.replayed = self.too_late = self.from_future = 0
        self._window, self._lateness = window, lateness
        self._watermark: datetime | None = None
        self._database = duckdb.connect()
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute(
            "CREATE TABLE events (window_start TIMESTAMPTZ, exposure_id TEXT, session_id TEXT, query_image_id TEXT, "
            "item_id TEXT, rank INTEGER, event TEXT, category TEXT, variant TEXT, price DOUBLE, "
            f"PRIMARY KEY ({', '.join(_KEY)}))"
        )

    @property
    def watermark(self) -> datetime | None:
        """No event before it is expected any more; None before the first event."""
        return self._watermark

    def add(self, events: pa.Table, *, now: datetime | None = None) -> pa.Table:
        """Count a batch of events.

        Args:
            events: an interactions table; columns `price`, `category` and `exposure_id` are used where they are there.
            now: when the batch arrived; None for a log of the past.

        Returns:
            The windows that this batch has closed, as `open_windows` gives them.

        Raises:
            TableError: the table does not match the schema.
        """
        events = validate_interactions(events)
        if now is not None:
            known = events.filter(
                pc.less_equal(events["event_at"], pa.scalar(now + self._lateness, events["event_at"].type))
            )
            self.from_future += events.num_rows - known.num_rows
            events = known
        if events.num_rows == 0:
            return self.open_windows().slice(0, 0)
        self._insert(events)
        latest = pc.max(events["event_at"]).as_py() - self._lateness
        self._watermark = latest if self._watermark is None else max(self._watermark, latest)
        ended = (self._watermark - self._window,)
        closed = self._rows("WHERE window_start <= ?", ended)
        self._database.execute("DELETE FROM events WHERE window_start <= ?", ended)
        return closed

    def open_windows(self) -> pa.Table:
        """The windows that may still change.

        Returns:
            A row a window and group: `window_start`, `category` and `variant` (null where all are taken together; an
            unknown one is an empty string), `COUNTS`, and `RATES`, null where nothing was shown.
        """
        return self._rows("", ())

    def _insert(self, events: pa.Table) -> None:
        seconds = self._window.total_seconds()
        names = events.column_names
        wanted = {
            "exposure_id": "coalesce(exposure_id, '')" if "exposure_id" in names else "''",
            "category": "coalesce(category, '')" if "category" in names else "''",
            "variant": "coalesce(variant, '')",
            "price": "price" if "price" in names else "NULL",
        }
        database = self._database
        database.register("batch", events)
        columns = ", ".join(f"{sql} AS {name}" for name, sql in wanted.items())
        database.execute(
            "CREATE OR REPLACE TEMP TABLE arrived AS SELECT "  # noqa: S608
            f"to_timestamp(floor(epoch(event_at) / {seconds}) * {seconds}) AS window_start, "
            f"session_id, query_image_id, item_id, rank, event, {columns} FROM batch"
        )
        database.unregister("batch")
        if self._watermark is not None:
            ended = (self._watermark - self._window,)
            self.too_late += self._number("SELECT count(*) FROM arrived WHERE window_start <= ?", ended)
            database.execute("DELETE FROM arrived WHERE window_start <= ?", ended)
        before = self._number("SELECT count(*) FROM events", ())
        database.execute("INSERT OR IGNORE INTO events BY NAME SELECT * FROM arrived")
        arrived = self._number("SELECT count(*) FROM arrived", ())
        self.replayed += before + arrived - self._number("SELECT count(*) FROM events", ())

    def _rows(self, where: str, values: Sequence[object]) -> pa.Table:
        counts = ", ".join(f"{sql} AS {name}" for name, sql in COUNTS.items())
        rates = ", ".join(f'{sql.replace("/", "/ nullif(")}, 0) AS "{name}"' for name, sql in RATES.items())
        query = (
            f"WITH counted AS (SELECT window_start, category, variant, {counts} FROM events {where} "  # noqa: S608
            f"GROUP BY GROUPING SETS ({_GROUPS})) SELECT *, {rates} FROM counted "
            "ORDER BY window_start, category NULLS FIRST, variant NULLS FIRST"
        )
        return self._database.sql(query, params=[*values]).to_arrow_table()

    def _number(self, query: str, values: Sequence[object]) -> int:
        return int(self._database.execute(query, [*values]).fetchall()[0][0])
