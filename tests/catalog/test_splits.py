"""Splits by product."""

from collections import Counter

import pytest

from src.catalog.splits import split_by_product

PRODUCTS = [f"product-{number // 3}" for number in range(30_000)]


def split(products: list[str], seed: int = 0, val: float = 0.1, test: float = 0.2) -> list[str]:
    return split_by_product(products, val_fraction=val, test_fraction=test, seed=seed)


def test_a_product_is_in_one_split() -> None:
    places = set(zip(PRODUCTS, split(PRODUCTS), strict=True))
    assert len(places) == 10_000


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.2), (0.0, 0.5), (0.3, 0.0), (0.0, 0.0)])
def test_shares_are_about_what_was_asked(val: float, test: float) -> None:
    counts = Counter(split(sorted(set(PRODUCTS)), val=val, test=test))
    # Five standard deviations of 10,000 draws.
    assert abs(counts["val"] - 10_000 * val) <= 250
    assert abs(counts["test"] - 10_000 * test) <= 250
    assert (counts["val"] == 0) == (val == 0)
    assert (counts["test"] == 0) == (test == 0)


def test_a_product_stays_where_it_is_when_the_catalogue_grows() -> None:
    before = dict(zip(PRODUCTS[:3000], split(PRODUCTS[:3000]), strict=True))
    after = dict(zip(reversed(PRODUCTS), split(PRODUCTS[::-1]), strict=True))
    assert all(after[product] == place for product, place in before.items())


def test_a_larger_test_share_keeps_the_old_test_products() -> None:
    small, large = split(PRODUCTS, test=0.1), split(PRODUCTS, test=0.3)
    assert all(b == "test" for a, b in zip(small, large, strict=True) if a == "test")


def test_another_seed_is_another_split() -> None:
    one, other = split(PRODUCTS), split(PRODUCTS, seed=1)
    assert one == split(PRODUCTS)
    assert 0.3 < sum(a == b for a, b in zip(one, other, strict=True)) / len(one) < 0.7


def test_no_rows_have_no_splits() -> None:
    assert split([]) == []
