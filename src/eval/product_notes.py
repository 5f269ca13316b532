"""What to know of the unit of the intervals: queries without a product, and few products with most queries."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.eval.intervals import FEWEST, effective_products

__all__ = ["product_notes"]

_FEW = 20.0
"""With fewer effective products the intervals of values near 0 and 1 are too short (`benchmarks.null_simulations`)."""


def product_notes(table: pa.Table) -> list[str]:
    """Sentences for the terminal and the report; none where all is as it should be.

    Args:
        table: of `per_query_table`; queries without a positive are left out.
    """
    table = table.filter(pc.greater(table["positives"], 0))
    if not len(table):
        return []
    notes = []
    parents = table["parent_id"] if "parent_id" in table.column_names else None
    alone = len(table) if parents is None else parents.null_count
    if alone:
        which = "no query has a" if alone == len(table) else f"{alone:,} of {len(table):,} queries have no"
        notes.append(
            f"{which} parent_id: in the intervals and tests each item counts as a product of its own, so that they "
            "are too sure where items are variants of one product"
        )
    counts = np.unique(table["product"].to_numpy(), return_counts=True)[1].astype(np.float64)
    effective = float(effective_products(counts[:, None])[0])
    if effective < _FEW and len(counts) > 1:
        consequence = (
            f"below {FEWEST:g} a value has no interval"
            if effective < FEWEST
            else "intervals are rough, and too short for values near 0 and 1"
        )
        notes.append(
            f"{len(table):,} queries of {len(counts):,} products count as {effective:.1f} products of equal size "
            f"((sum n)^2 / sum n^2; the largest has {counts.max() / counts.sum():.0%} of the queries): {consequence}"
        )
    return notes
