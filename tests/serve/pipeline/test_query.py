import itertools

import pytest

from serve.pipeline.query import Query
from src.index.filters import AnyOf, Between

CHEAP = Between("price", None, 10.0)
DEAR = Between("price", 5.0, None)
STOCKED = AnyOf("in_stock", frozenset({True}))
SHOES = AnyOf("category", frozenset({"shoes", "boots"}))


def test_conditions_apart_from_price_and_stock_last():
    query = Query(k=1, filters=[CHEAP, SHOES, STOCKED, AnyOf("brand", frozenset({"acme"}))])
    assert [condition.column for condition in query.lasting] == ["category", "brand"]
    assert query.categories == {"shoes", "boots"}
    assert Query(k=1, filters=[CHEAP]).categories == frozenset()
    assert Query(k=1, filters=[Between("category", "a", "b")]).categories == frozenset()


@pytest.mark.parametrize(
    ("price", "in_stock"), [*itertools.product([None, 4.99, 5.0, 10.0, 10.01, float("nan")], [None, True, False])]
)
def test_current_values_meet_every_condition_on_them_and_null_meets_none(price, in_stock):
    rules = {
        CHEAP: price is not None and price <= 10,
        DEAR: price is not None and price >= 5,
        STOCKED: in_stock is True,
        SHOES: True,
    }
    for count in range(5):
        for filters in itertools.combinations(rules, count):
            assert Query(k=1, filters=filters).admits(price, in_stock) == all(rules[one] for one in filters)
