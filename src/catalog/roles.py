"""The roles of images: query, gallery, or both."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["roles_by_domain", "with_roles"]

_DOMAIN_OF = {"is_query": "user", "is_gallery": "catalogue"}


def with_roles(table: pa.Table) -> pa.Table:
    """Add `is_query` and `is_gallery`: as given (null counts as false), else by domain.

    Args:
        table: with the columns `is_query`, `is_gallery` and `domain` where the catalogue has them.

    Returns:
        The table with both columns, bool without nulls.
    """
    by_domain = roles_by_domain(table)
    for role, values in by_domain.items():
        if role in table.column_names:
            given = pc.fill_null(table[role], False)
            table = table.set_column(table.column_names.index(role), role, given)
        else:
            table = table.append_column(role, values)
    return table


def roles_by_domain(table: pa.Table) -> dict[str, pa.ChunkedArray | pa.Array]:
    """User photos are queries and catalogue images the gallery where a catalogue has both; else each image is both.

    Returns:
        `is_query` and `is_gallery`, bool without nulls.
    """
    domains = set(table["domain"].unique().to_pylist()) if "domain" in table.column_names else set()
    if {"user", "catalogue"} <= domains:
        return {role: pc.fill_null(pc.equal(table["domain"], domain), False) for role, domain in _DOMAIN_OF.items()}
    return {role: pa.array(np.ones(table.num_rows, dtype=bool)) for role in _DOMAIN_OF}
