"""Items that are clicked in the same sessions: the definition of pairs, as SQL that DuckDB and Spark run."""

from dataclasses import dataclass

__all__ = ["CoClickRule", "co_click_sql"]


@dataclass(frozen=True, kw_only=True)
class CoClickRule:
    """Which pairs are kept.

    Attributes:
        min_support: least number of sessions in which both items are clicked.
        max_items: sessions with more clicked items are left out: crawlers and shared accounts, whose number of pairs
            grows with the square of their clicks.
        clip: largest inverse propensity of a click.
    """

    min_support: int = 3
    max_items: int = 30
    clip: float = 10.0


def co_click_sql(rule: CoClickRule) -> str:
    """The query over the views `events` and `examination`.

    A click at a rank that is looked at with probability p stands for 1 / p sessions in which the item would have been
    clicked if it had been looked at (inverse propensity scoring: Joachims, Swaminathan, Schnabel, WSDM 2017). An item
    that is clicked several times in a session counts once, at the rank that is looked at most. For a pair the two
    factors are multiplied, as looks at two ranks are independent in the position-based model. With the sums w of these
    products and factors, and n sessions with clicks,

        lift(a, b) = n * w(a, b) / (w(a) * w(b))

    which is 1 where clicks on a and b are independent of each other.

    Args:
        rule: which pairs are kept.

    Returns:
        One SELECT: `item_a`, `item_b` (item_a < item_b, so that an item is no pair with itself), `support` (sessions),
        `weight` (w(a, b)), `lift`. Events of ranks that `examination` does not have are left out.
    """
    return f"""
WITH clicks AS (
    SELECT events.session_id, events.item_id, min(1 / greatest(examination.chance, {1 / rule.clip!r})) AS weight
    FROM events JOIN examination ON events.rank = examination.rank
    WHERE events.event <> 'impression' GROUP BY events.session_id, events.item_id
), sessions AS (
    SELECT session_id FROM clicks GROUP BY session_id HAVING count(*) <= {rule.max_items:d}
), kept AS (
    SELECT clicks.session_id, clicks.item_id, clicks.weight
    FROM clicks JOIN sessions ON clicks.session_id = sessions.session_id
), items AS (
    SELECT item_id, sum(weight) AS weight FROM kept GROUP BY item_id
), pairs AS (
    SELECT a.item_id AS item_a, b.item_id AS item_b, count(*) AS support, sum(a.weight * b.weight) AS weight
    FROM kept AS a JOIN kept AS b ON a.session_id = b.session_id AND a.item_id < b.item_id
    GROUP BY a.item_id, b.item_id HAVING count(*) >= {rule.min_support:d}
), total AS (
    SELECT count(*) AS sessions FROM sessions
)
SELECT item_a, item_b, support, pairs.weight AS weight,
    total.sessions * pairs.weight / (items_a.weight * items_b.weight) AS lift
FROM pairs CROSS JOIN total
JOIN items AS items_a ON items_a.item_id = item_a
JOIN items AS items_b ON items_b.item_id = item_b
"""  # noqa: S608  (numbers only)
