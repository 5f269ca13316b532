"""Items that are clicked together, as positives of the images of both."""

import numpy as np
import pyarrow as pa
import pytest

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.datamodules.click_pairs import ClickPairs
from src.datamodules.co_click_pairs import with_co_clicks
from src.datamodules.training_set import TrainingSet, training_set
from src.shop.listing import items_table
from src.shop.products import plan_products

NOTHING = ClickPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue(items_table(plan_products(20, 2), 2), tmp_path_factory.mktemp("nothing"))


@pytest.fixture(scope="module")
def images(catalogue: Catalogue) -> TrainingSet:
    return training_set(catalogue)


def names_of(catalogue: Catalogue, images: TrainingSet) -> list[str]:
    """Item names by number."""
    return [
        name
        for _, name in sorted(set(zip(images.items.tolist(), catalogue.column("item_id", images.rows), strict=True)))
    ]


def together(*pairs: tuple[str, str, float]) -> pa.Table:
    first, second, lifts = zip(*pairs, strict=True)
    return pa.table({"item_a": list(first), "item_b": list(second), "lift": pa.array(lifts, pa.float64())})


def test_each_image_of_one_likes_the_other(catalogue: Catalogue, images: TrainingSet) -> None:
    names = names_of(catalogue, images)
    pairs = together((names[4], names[1], 4.0), (names[2], names[3], 0.5), (names[0], "elsewhere", 9.0))
    found = with_co_clicks(NOTHING, pairs, catalogue, images)
    expected = {(image, 1) for image in np.flatnonzero(images.items == 4)}
    expected |= {(image, 4) for image in np.flatnonzero(images.items == 1)}
    assert len(found) == len(expected)
    assert set(zip(found.images.tolist(), found.items.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(found.weights, np.float32(0.75))


def test_the_log_s_judgement_stays(catalogue: Catalogue, images: TrainingSet) -> None:
    names = names_of(catalogue, images)
    image = int(np.flatnonzero(images.items == 0)[0])
    judged = ClickPairs(np.array([image, image]), np.array([1, 2]), np.array([-0.5, 0.1], np.float32))
    found = with_co_clicks(judged, together((names[0], names[1], 2.0)), catalogue, images)
    mine = found.images == image
    assert dict(zip(found.items[mine].tolist(), found.weights[mine].tolist(), strict=True)) == {
        1: -0.5, 2: pytest.approx(0.1)
    }  # fmt: skip
    assert len(found) == 2 + (images.items == 0).sum() - 1 + (images.items == 1).sum()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (pa.table({"item_a": ["a"]}), "no column item_b, lift; `python -m src.pipelines.co_clicks`"),
        (together(("a", "b", 0.0)), "lift must hold numbers above 0"),
        (together(("a", "b", float("nan"))), "lift must hold numbers above 0"),
        (pa.table({"item_a": ["a"], "item_b": ["b"], "lift": pa.array([None], pa.float64())}), "lift must hold"),
        (together(("a", "b", 1.0)).slice(0, 0), "one pair at least"),
    ],
)
def test_other_files_are_refused(catalogue: Catalogue, images: TrainingSet, pairs: pa.Table, message: str) -> None:
    with pytest.raises(TableError, match=message):
        with_co_clicks(NOTHING, pairs, catalogue, images)
