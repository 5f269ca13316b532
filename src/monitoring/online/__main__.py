"""Online metrics of a log, and the alert on its click rate: python -m src.monitoring.online --interactions FILE ..."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from src.contracts.atomic_file import atomic_file
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.monitoring.interactions import read_interactions
from src.monitoring.online.click_rate_alert import ClickRateAlert, Shown, dispersion_of
from src.monitoring.online.windows import RATES, OnlineWindows

__all__ = ["main"]

_BATCH = 50_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a window, and alarms; write DIR/online.parquet with all groups where --output says so."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        log = read_interactions(options.interactions, options.items)
        windows = OnlineWindows(window=timedelta(hours=options.hours), lateness=timedelta(hours=options.lateness))
        closed = [windows.add(log.slice(start, _BATCH)) for start in range(0, log.num_rows, _BATCH)]
        # The end of a log of the past is no reason to wait for more.
        table = pa.concat_tables([*closed, windows.open_windows()])
        if table.num_rows == 0:
            raise ConfigError("the log has no events")
        _print(table, _alerts(table, log, options))
        print(f"replayed events: {windows.replayed:,}; too late for their window: {windows.too_late:,}")
        if options.output is not None:
            path = options.output / "online.parquet"
            with atomic_file(path) as temporary:
                pq.write_table(table, temporary)
            print(f"written: {path}")


def _alerts(table: pa.Table, log: pa.Table, options: argparse.Namespace) -> Mapping[datetime, str]:
    """What the alert says of each window after the reference."""
    starts = sorted(pc.unique(table["window_start"]).to_pylist())
    if len(starts) <= options.reference:
        return {starts[-1]: f"no alert: the log has {len(starts)} windows, the reference {options.reference}"}
    by_window: dict[datetime, dict[tuple[str, int], Shown]] = {start: {} for start in starts}
    groups = table.filter(pc.and_(pc.is_valid(table["category"]), pc.is_null(table["variant"])))
    for row in groups.to_pylist():
        shown = Shown(row["first_impressions"], row["first_clicks"])
        by_window[row["window_start"]][row["category"], 1] = shown
    reference: dict[tuple[str, int], Shown] = {}
    for start in starts[: options.reference]:
        for key, shown in by_window[start].items():
            before = reference.get(key, Shown(0, 0))
            reference[key] = Shown(before.impressions + shown.impressions, before.clicks + shown.clicks)
    dispersion = _dispersion(log, starts[options.reference], reference)
    alert = ClickRateAlert(reference, every=options.every, tolerance=options.tolerance, dispersion=dispersion)
    said = dict.fromkeys(starts[: options.reference], "reference")
    for start in starts[options.reference :]:
        alarm = alert.update(by_window[start])
        if alarm is not None:
            worst = ", ".join(f"{category or 'unknown'} {missing:.0f}" for (category, _), missing in alarm.suspects[:3])
            said[start] = f"CTR@1 fell by {alarm.fall:.0%} over {alarm.since} window(s); clicks missed most: {worst}"
    return said


def _dispersion(log: pa.Table, until: datetime, reference: Mapping[tuple[str, int], Shown]) -> float:
    """Of the first rank's clicks by user, before the end of the reference."""
    rows = log.filter(
        pc.and_(pc.less(log["event_at"], pa.scalar(until, log["event_at"].type)), pc.equal(log["rank"], 1))
    )
    names = rows["category"] if "category" in rows.column_names else pa.nulls(rows.num_rows, pa.string())
    counted = pa.table({
        "user": pc.coalesce(rows["user_id"], rows["session_id"]),
        "category": pc.coalesce(names, pa.scalar("")),
        "impressions": pc.equal(rows["event"], "impression").cast(pa.int64()),
        "clicks": pc.equal(rows["event"], "click").cast(pa.int64()),
    }).group_by(["user", "category"]).aggregate([("impressions", "sum"), ("clicks", "sum")])  # fmt: skip
    shown = [reference.get((category, 1), Shown(0, 0)) for category in counted["category"].to_pylist()]
    rates = np.array([each.clicks / max(each.impressions, 1) for each in shown])
    users, impressions, clicks = (counted[name].to_numpy() for name in ("user", "impressions_sum", "clicks_sum"))
    return dispersion_of(users, impressions, clicks, rates)


def _print(table: pa.Table, alerts: Mapping[datetime, str]) -> None:
    whole = table.filter(pc.and_(pc.is_null(table["category"]), pc.is_null(table["variant"])))
    print(f"{'window':16} {'sessions':>8} " + " ".join(f"{name:>{max(len(name), 7)}}" for name in RATES) + "  alert")
    for row in whole.to_pylist():
        rates = " ".join(
            f"{'none' if row[name] is None else format(row[name], '.4g'):>{max(len(name), 7)}}" for name in RATES
        )
        print(
            f"{row['window_start']:%Y-%m-%d %H:%M} {row['sessions']:8} {rates}  {alerts.get(row['window_start'], '')}"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.monitoring.online", description="Online metrics of a log, and the alert on its click rate."
    )
    add = parser.add_argument
    add("--interactions", nargs="+", type=Path, required=True, metavar="FILE", help="Parquet files, read in this order")
    add("--items", type=Path, metavar="FILE", help="Parquet file with item_id and price, where the log has no `price`")
    add("--hours", type=float, default=24.0, help="length of a window (default 24)")
    add("--lateness", type=float, default=1.0, help="hours that an event may be late (default 1)")
    add("--reference", type=int, default=7, help="windows of the alert's reference, the first ones (default 7)")
    add("--every", type=float, default=1000.0, help="mean number of windows to a false alarm (default 1000)")
    add("--tolerance", type=float, default=0.05, help="relative fall that is no alarm (default 0.05)")
    add("--output", type=Path, metavar="DIR", help="folder of online.parquet: by category and variant")
    return parser


if __name__ == "__main__":
    main()
