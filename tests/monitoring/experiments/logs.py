"""Small interaction logs."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from src.contracts.tables import validate_interactions

__all__ = ["START", "event", "table"]

START = datetime(2026, 9, 1, tzinfo=UTC)


def event(
    user: str | None,
    hours: float,
    kind: str = "impression",
    *,
    item: str = "I1",
    rank: int = 1,
    variant: str | None = "control",
    session: str | None = None,
    price: float | None = 10.0,
    **more: object,
) -> dict[str, object]:
    """One event, some hours after `START`."""
    session = session or f"S-{user}-{int(hours // 24)}"
    propensity = None if variant is None else 0.5
    return {
        "event_at": START + timedelta(hours=hours), "session_id": session, "user_id": user, "query_image_id": "Q",
        "item_id": item, "rank": rank, "event": kind, "variant": variant, "propensity": propensity, "price": price,
        **more,
    }  # fmt: skip


def table(*events: dict[str, object]) -> pa.Table:
    """An interactions table."""
    return validate_interactions(pa.Table.from_pylist([*events]))
