"""From interaction logs to each user's totals at each look: the numbers that an analysis needs, by DuckDB.

A repeated event (same session, query image, item, rank and kind) counts once, at its first time. An event whose result
was not logged as shown is left out and counted. Days are those of UTC, from the first day on which a variant was shown.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from src.contracts.errors import ConfigError
from src.monitoring.experiments.looks import Arm
from src.monitoring.experiments.metrics import Metric

__all__ = ["ExperimentLog"]

_EVENTS = """
CREATE TABLE events AS
SELECT session_id, query_image_id, item_id, rank, event, min(event_at) AS event_at,
       coalesce(any_value(user_id), session_id) AS user_id, any_value(variant) AS variant,
       any_value(propensity) AS propensity, any_value(price) AS price
FROM log GROUP BY session_id, query_image_id, item_id, rank, event
"""
_LOST = """
FROM events WHERE event <> 'impression' AND NOT EXISTS (
    SELECT 1 FROM events AS shown WHERE shown.event = 'impression' AND shown.session_id = events.session_id
    AND shown.query_image_id = events.query_image_id AND shown.item_id = events.item_id AND shown.rank = events.rank)
"""
_FROM_LOG = """
CREATE TABLE assigned AS
SELECT user_id, min(variant) AS variant, count(DISTINCT variant) AS variants, min(event_at) AS first,
       avg(propensity) AS propensity
FROM events WHERE variant IS NOT NULL GROUP BY user_id
"""
_FROM_EXPOSURES = """
CREATE TABLE assigned AS
SELECT user_id, min(variant) AS variant, count(DISTINCT variant) AS variants, min(exposed_at) AS first,
       avg(propensity) AS propensity
FROM exposures GROUP BY user_id
"""
_PLACED = """
CREATE TABLE placed AS
SELECT events.*, users.number, CASE WHEN event_at < first THEN -1
       ELSE date_diff('day', (SELECT date_trunc('day', min(first)) FROM users), event_at) END AS day
FROM events JOIN users USING (user_id)
"""
_SESSIONS = """
CREATE TABLE sessions AS
SELECT number, session_id, event, min(day) AS day,
       CASE WHEN event = 'purchase' THEN least(coalesce(sum(price), 0), {cap}) END AS revenue
FROM placed WHERE event <> 'click' GROUP BY number, session_id, event
"""


@dataclass(frozen=True)
class ExperimentLog:
    """A log with its users placed in variants.

    Attributes:
        variants: the control first, then by name.
        variant_of: variant of each user, int64 of shape (users,), position in `variants`.
        first_day: day of each user's first exposure, int64 of shape (users,), from 0.
        shares: planned share of each variant, float64 of shape (variants,).
        shares_known: whether the log has propensities; otherwise equal shares are assumed.
        days: looks, one at the end of each day.
        start: the first day, as ISO 8601.
        mixed: users who saw several variants; left out.
        lost: events without their impression; left out.
        without_user: events without a user; each of their sessions counts as a user.
        capped: sessions whose revenue was capped.
    """

    variants: tuple[str, ...]
    variant_of: np.ndarray
    first_day: np.ndarray
    shares: np.ndarray
    shares_known: bool
    days: int
    start: str
    mixed: int
    lost: int
    without_user: int
    capped: int
    _database: duckdb.DuckDBPyConnection

    @classmethod
    def of(
        cls, log: pa.Table, exposures: pa.Table | None = None, *, control: str | None = None, cap: float | None = None
    ) -> "ExperimentLog":
        """Place the users of a log.

        Args:
            log: an interactions table with a column `price` (`src.monitoring.interactions`).
            exposures: exposures of this experiment; without them, the log's column `variant` says who saw what.
            control: the control's name; None for `control`, or else the first by name.
            cap: the most that a session's revenue counts for.

        Raises:
            ConfigError: fewer than two variants, or no such control.
        """
        database = duckdb.connect()
        database.execute("SET TimeZone = 'UTC'")
        database.register("log", log)
        database.execute(_EVENTS)
        lost = _number(database, f"SELECT count(*) {_LOST}")
        database.execute(f"DELETE {_LOST}")
        if exposures is not None:
            database.register("exposures", exposures)
        database.execute(_FROM_LOG if exposures is None else _FROM_EXPOSURES)
        variants = _ordered(database, control)
        mixed = _number(database, "SELECT count(*) FROM assigned WHERE variants > 1")
        database.execute(
            "CREATE TABLE users AS SELECT row_number() OVER (ORDER BY user_id) - 1 AS number, * FROM assigned "
            "WHERE variants = 1"
        )
        database.execute(_PLACED)
        limit = "1e308" if cap is None else repr(float(cap))
        database.execute(_SESSIONS.format(cap=limit))
        users = database.execute(
            "SELECT list_position(?, variant) - 1 AS variant, propensity, "
            "date_diff('day', (SELECT date_trunc('day', min(first)) FROM users), first) AS day "
            "FROM users ORDER BY number",
            [list(variants)],
        ).fetchnumpy()
        variant_of = users["variant"].astype(np.int64)
        shares, known = _shares(variant_of, np.ma.filled(users["propensity"], np.nan), len(variants))
        return cls(
            variants=variants,
            variant_of=variant_of,
            first_day=users["day"].astype(np.int64),
            shares=shares,
            shares_known=known,
            days=_number(database, "SELECT max(day) + 1 FROM placed"),
            start=str(database.execute("SELECT date_trunc('day', min(first))::DATE FROM users").fetchall()[0][0]),
            mixed=mixed,
            lost=lost,
            without_user=log["user_id"].null_count,
            capped=_number(database, f"SELECT count(*) FROM sessions WHERE revenue >= {limit}"),  # noqa: S608
            _database=database,
        )

    def arm(self, metric: Metric, variant: int) -> Arm:
        """The totals of one variant's users at each look, and those before their first exposure."""
        rows = self._database.execute(
            f"SELECT number, day, sum(CASE WHEN {metric.counted} THEN {metric.amount} ELSE 0 END) AS y, "  # noqa: S608
            f"sum(CASE WHEN {metric.among} THEN 1 ELSE 0 END) AS n FROM {metric.table} GROUP BY number, day"
        ).fetchnumpy()
        users = np.flatnonzero(self.variant_of == variant)
        place = np.full(len(self.variant_of), -1)
        place[users] = np.arange(len(users))
        at, day = place[rows["number"].astype(np.int64)], rows["day"].astype(np.int64)
        totals = []
        for name in ("y", "n"):
            amounts = np.zeros((len(users), self.days + 1))
            # Day -1, the earlier period, is the last column.
            amounts[at[at >= 0], day[at >= 0]] = np.ma.filled(rows[name], 0.0).astype(np.float64)[at >= 0]
            totals.append(amounts)
        (y, n_), early = totals, totals[1][:, -1].any()
        pre = (y[:, -1].copy(), n_[:, -1].copy()) if early else (None, None)
        return Arm(np.cumsum(y[:, :-1], axis=1), np.cumsum(n_[:, :-1], axis=1), *pre)

    def counts(self) -> np.ndarray:
        """Users of each variant who were exposed up to each look, int64 of shape (looks, variants)."""
        return np.stack([
            np.bincount(self.first_day[self.variant_of == k], minlength=self.days).cumsum()
            for k in range(len(self.variants))
        ], axis=1)  # fmt: skip


def _ordered(database: duckdb.DuckDBPyConnection, control: str | None) -> tuple[str, ...]:
    names = [row[0] for row in database.execute("SELECT DISTINCT variant FROM assigned ORDER BY variant").fetchall()]
    if len(names) < 2:
        raise ConfigError(
            f"variants {names}: an experiment needs at least two; the log's column `variant` names them, or --exposures"
        )
    control = control or ("control" if "control" in names else names[0])
    if control not in names:
        raise ConfigError(f"--control {control}: none of {', '.join(names)}")
    return control, *(name for name in names if name != control)


def _shares(variant_of: np.ndarray, propensity: np.ndarray, variants: int) -> tuple[np.ndarray, bool]:
    """Planned shares by the logged propensities; equal ones where these are not known."""
    with np.errstate(invalid="ignore"):
        shares = np.array([
            np.nanmean(propensity[variant_of == k]) if np.isfinite(propensity[variant_of == k]).any() else np.nan
            for k in range(variants)
        ])  # fmt: skip
    known = bool(np.isfinite(shares).all() and abs(shares.sum() - 1) < 1e-6)
    return (shares / shares.sum() if known else np.full(variants, 1 / variants)), known


def _number(database: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(database.execute(query).fetchall()[0][0] or 0)
