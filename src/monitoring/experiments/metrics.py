"""What experiments measure: each metric is a ratio of two sums over users."""

from dataclasses import dataclass

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True)
class Metric:
    """A ratio of sums.

    Attributes:
        name: as it is called on the command line.
        says: what it is, for people.
        table: of `user_totals.py`: `placed` has a row an event, `sessions` a row a session and kind of event.
        counted: SQL condition of the rows that make the numerator.
        among: SQL condition of the rows that make the denominator, each counting 1.
        amount: SQL of what a row adds to the numerator.
    """

    name: str
    says: str
    table: str
    counted: str
    among: str
    amount: str = "1"


def _of_sessions(name: str, says: str, event: str, amount: str = "1") -> Metric:
    return Metric(name, f"{says} / sessions", "sessions", f"event = '{event}'", "event = 'impression'", amount)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("ctr", "clicked results / results shown", "placed", "event = 'click'", "event = 'impression'"),
        Metric(
            "ctr@1", "clicks on rank 1 / pages",
            "placed", "event = 'click' AND rank = 1", "event = 'impression' AND rank = 1",
        ),
        _of_sessions("cart", "sessions with something put into the cart", "cart"),
        _of_sessions("conversion", "sessions with a purchase", "purchase"),
        _of_sessions("revenue", "revenue", "purchase", "revenue"),
    )
}  # fmt: skip
