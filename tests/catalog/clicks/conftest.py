"""One log of the built-in shop, without its pictures."""

import pyarrow as pa
import pytest

from src.shop.clicks import interactions_table
from src.shop.listing import items_table
from src.shop.products import plan_products


@pytest.fixture(scope="session")
def shop_items() -> pa.Table:
    return items_table(plan_products(60, 2), 2)


@pytest.fixture(scope="session")
def shop_log(shop_items: pa.Table) -> pa.Table:
    return interactions_table(plan_products(60, 2), shop_items, sessions=6000, seed=2)
