from collections import defaultdict
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import ConfigError, TableError
from src.monitoring.experiments.assignment import Experiment
from src.monitoring.online.windows import OnlineWindows
from src.monitoring.simulate import START, simulated_log
from tests.monitoring.experiments.logs import event, table

DAY = timedelta(days=1)


def windows(hours: float = 24, lateness: float = 1) -> OnlineWindows:
    return OnlineWindows(window=timedelta(hours=hours), lateness=timedelta(hours=lateness))


def whole(rows: pa.Table) -> list[dict]:
    return [row for row in rows.to_pylist() if row["category"] is None and row["variant"] is None]


@pytest.fixture(scope="module")
def log() -> pa.Table:
    return simulated_log(Experiment("e"), users=80, days=3, before=0, noise=0.5, parents=12, seed=2)


def slowly(log: pa.Table) -> dict[tuple, dict[str, float]]:
    """By plain Python: counts by day, category and variant; None is all of them."""
    found: dict[tuple, dict] = defaultdict(lambda: defaultdict(set))
    for row in log.to_pylist():
        day = (row["event_at"] - START).days
        for category in (None, row["category"]):
            for variant in (None, row["variant"] or ""):
                cell, kind, one = found[day, category, variant], row["event"], row["session_id"]
                key = (one, row["item_id"], row["rank"])
                cell[{"impression": "impressions", "click": "clicks"}.get(kind, kind)].add(key)
                if row["rank"] == 1 and kind in ("impression", "click"):
                    cell[{"impression": "first_impressions", "click": "first_clicks"}[kind]].add(key)
                names = {"impression": "sessions", "cart": "cart_sessions", "purchase": "purchase_sessions"}
                if kind in names:
                    cell[names[kind]].add(one)
                if kind == "purchase":
                    cell["bought"].add((*key, row["price"]))
    return found


def check(found: pa.Table, log: pa.Table) -> None:
    expected = slowly(log)
    assert found.num_rows == len(expected)
    for row in found.to_pylist():
        cell = expected[(row["window_start"] - START).days, row["category"], row["variant"]]
        for name in (
            "impressions", "clicks", "first_impressions", "first_clicks",
            "sessions", "cart_sessions", "purchase_sessions",
        ):  # fmt: skip
            assert row[name] == len(cell[name]), name
        revenue = sum(price for *_, price in cell["bought"])
        assert row["revenue"] == pytest.approx(revenue)
        assert row["revenue_per_session"] == pytest.approx(revenue / len(cell["sessions"]))
        assert row["ctr"] == pytest.approx(len(cell["clicks"]) / len(cell["impressions"]))
        assert row["ctr@1"] == pytest.approx(len(cell["first_clicks"]) / len(cell["first_impressions"]))
        assert row["session_depth"] == pytest.approx(row["pages"] / len(cell["sessions"]))


def test_counts_and_rates_are_those_of_plain_python(log: pa.Table) -> None:
    online = windows(lateness=100)
    closed = online.add(log)
    assert closed.num_rows == 0
    check(online.open_windows(), log)


def test_batches_replays_and_late_events_give_the_same(log: pa.Table) -> None:
    rng = np.random.default_rng(0)
    online = windows(lateness=100)
    mixed = pa.concat_tables([log, log.slice(0, 300)]).take(rng.permutation(log.num_rows + 300))
    for start in range(0, mixed.num_rows, 97):
        online.add(mixed.slice(start, 97))
    assert online.replayed == 300
    assert online.too_late == 0
    check(online.open_windows(), log)


def test_a_window_closes_once_the_watermark_passed_its_end() -> None:
    online = windows(lateness=2)
    assert online.watermark is None
    assert online.add(table(event("U1", 1))).num_rows == 0
    assert online.add(table(event("U2", 25.9))).num_rows == 0
    # Late, but the window is open.
    assert online.add(table(event("U3", 3), event("U3", 3.1, "click"))).num_rows == 0
    closed = online.add(table(event("U4", 26)))
    assert online.watermark == START + DAY
    (row,) = whole(closed)
    assert (row["window_start"], row["sessions"], row["clicks"]) == (START, 2, 1)
    # It is closed now: neither a new event nor a replay changes anything.
    assert online.add(table(event("U5", 5), event("U1", 1))).num_rows == 0
    assert online.too_late == 2
    assert [row["sessions"] for row in whole(online.open_windows())] == [2]


def test_a_replay_counts_once_and_another_exposure_of_the_same_page_again() -> None:
    online = windows()
    online.add(table(event("U1", 1), event("U1", 1)))
    online.add(table(event("U1", 1)))
    assert online.replayed == 2
    online = windows()
    online.add(table(event("U1", 1, exposure_id="a"), event("U1", 2, exposure_id="b"), event("U1", 2, exposure_id="b")))
    (row,) = whole(online.open_windows())
    assert (row["impressions"], row["pages"], row["sessions"], online.replayed) == (2, 2, 1, 1)


def test_a_clock_that_is_ahead_closes_nothing() -> None:
    online = windows()
    now = START + timedelta(hours=2)
    closed = online.add(table(event("U1", 1), event("U2", 24 * 400)), now=now)
    assert closed.num_rows == 0
    assert online.from_future == 1
    assert online.watermark == START


def test_memory_holds_open_windows_only() -> None:
    online = windows(hours=1, lateness=0)
    for hour in range(8):
        online.add(table(*(event(f"U{k}", hour + k / 100) for k in range(20))))
    assert len(whole(online.open_windows())) == 1


def test_an_empty_batch_and_rates_of_nothing() -> None:
    online = windows()
    assert online.add(table(event("U1", 1)).slice(0, 0)).num_rows == 0
    assert online.open_windows().num_rows == 0
    online.add(table(event("U1", 1, "click", rank=2)))
    (row,) = whole(online.open_windows())
    assert row["ctr"] is None
    assert row["revenue_per_session"] is None


def test_wrong_settings_and_tables_are_refused() -> None:
    with pytest.raises(ConfigError, match="window="):
        windows(hours=0)
    with pytest.raises(ConfigError, match="lateness="):
        windows(lateness=-1)
    with pytest.raises(TableError, match="is missing"):
        windows().add(pa.table({"x": [1]}))
