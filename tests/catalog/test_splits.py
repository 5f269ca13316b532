"""Splits by product, by count and by time."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest

from src.catalog.splits import split_by_count, split_by_product, split_by_time

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


def counted(products: list[str], order: str = "name", train: int = 2, val: int = 1, seed: int = 0) -> list[str]:
    return split_by_count(products, train=train, val=val, order=order, seed=seed)


def test_classes_are_counted_in_the_order_of_their_numbers() -> None:
    products = ["class 10", "class 9", "class 2", "class 10", "class 1", "Class 0"]
    assert counted(products) == ["test", "test", "val", "test", "train", "train"]
    # CUB-200's folders, and Cars' bare numbers.
    names = [f"{number:03d}.Name" for number in range(1, 201)]
    assert counted(names, train=100, val=0) == ["train"] * 100 + ["test"] * 100
    numbers = [str(number) for number in range(196, 0, -1)]
    assert counted(numbers, train=98, val=0) == ["test"] * 98 + ["train"] * 98


def test_listed_order_is_that_of_the_first_rows() -> None:
    assert counted(["z", "a", "z", "m", "a", "b"], "listed") == ["train", "train", "train", "val", "train", "test"]


def test_random_order_is_the_seed_s_and_not_the_rows() -> None:
    one = dict(zip(PRODUCTS, counted(PRODUCTS, "random", train=6000, val=1000), strict=True))
    backwards = dict(zip(PRODUCTS[::-1], counted(PRODUCTS[::-1], "random", train=6000, val=1000), strict=True))
    other = dict(zip(PRODUCTS, counted(PRODUCTS, "random", train=6000, val=1000, seed=1), strict=True))
    assert one == backwards
    assert Counter(one.values()) == Counter(other.values()) == {"train": 6000, "val": 1000, "test": 3000}
    assert 0.4 < sum(one[name] == other[name] for name in one) / len(one) < 0.55


def test_more_products_than_there_are_cannot_be_counted() -> None:
    assert counted(["a", "b", "c"]) == ["train", "train", "val"]
    with pytest.raises(ValueError, match="the catalogue has 2 products"):
        counted(["a", "b", "a"])


def at(month: int, day: int = 1, hour: int = 0) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


def test_an_item_goes_where_its_earliest_image_does() -> None:
    rows = [("a", at(12)), ("a", at(3)), ("b", at(11)), ("c", at(10, 31, 23)), ("d", None), ("d", at(12, 31))]
    rows += [("e", at(12) + timedelta(days=40)), ("f", None)]
    items, moments = zip(*rows, strict=True)
    splits = split_by_time(items, moments, val_from=at(11), test_from=at(12) + timedelta(days=31))
    assert splits == ["train", "train", "val", "train", "val", "val", "test", None]
    assert split_by_time(items, moments, val_from=at(11), test_from=None)[6] == "val"


def test_moments_of_other_zones_are_the_same_moments() -> None:
    moment = datetime(2025, 11, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert split_by_time(["a"], [moment], val_from=at(11), test_from=None) == ["train"]
