"""The training split as numbers."""

from pathlib import Path

import pyarrow as pa

from src.catalog.catalogue import Catalogue
from src.contracts.tables import validate_items
from src.datamodules.training_set import training_set


def test_numbers_follow_names_and_what_is_absent_is_minus_one() -> None:
    table = validate_items(
        pa.table(
            {
                "image_id": [f"i{n}" for n in range(6)],
                "image": [f"i{n}.jpg" for n in range(6)],
                "item_id": ["b", "a", "b", "c", "p", "a"],
                "parent_id": ["p", "p", "p", None, None, "p"],
                "category": ["x", "w", "x", None, "w", "w"],
                "domain": ["user", "catalogue", None, "user", "user", "user"],
                "split": ["train", "train", "all", "train", "train", "val"],
                "is_query": [True] * 6,
                "is_gallery": [True] * 6,
            }
        )
    )
    images = training_set(Catalogue(table, Path("unused")))
    assert images.rows.tolist() == [0, 1, 2, 3, 4]
    assert images.items.tolist() == [1, 0, 1, 2, 3]
    # `c` and `p` have no parent: each is its own, and `p` is not the parent of that name.
    assert images.parents.tolist() == [2, 2, 2, 0, 1]
    assert images.categories.tolist() == [1, 0, 1, -1, 0]
    assert images.domains.tolist() == [1, 0, -1, 1, 1]
    assert (len(images), images.item_count) == (5, 4)
    assert images.sequences is None


def test_sequences_are_numbered_where_there_are_some() -> None:
    items = {
        "image_id": ["0", "1", "2"],
        "image": ["0", "1", "2"],
        "item_id": ["a"] * 3,
        "split": ["train"] * 3,
        "is_query": [True] * 3,
        "is_gallery": [True] * 3,
    }
    columns = {
        "names": (["v2", None, "v1"], [1, -1, 0]),
        "numbers": ([7, 7, 12], [1, 1, 0]),  # numbered by name
        "floats of pandas": ([7.0, float("nan"), 7.0], [0, -1, 0]),
        "nothing": ([None] * 3, None),
        "something else": ([[1], [2], [3]], None),
    }
    for case, (sequence, numbers) in columns.items():
        table = validate_items(pa.table(items | {"sequence": sequence}))
        found = training_set(Catalogue(table, Path("unused"))).sequences
        assert (None if found is None else found.tolist()) == numbers, case
