"""What a log says of what is trained on."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.contracts.tables import INTERACTIONS
from src.datamodules.click_pairs import ClickPairs, training_click_pairs
from src.datamodules.training_set import TrainingSet, training_set
from src.shop.clicks import interactions_table
from src.shop.listing import items_table
from src.shop.products import plan_products

SETTINGS = {"prior_looks": 3.0, "clip": 10.0}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue(items_table(plan_products(60, 2), 2), tmp_path_factory.mktemp("nothing"))


@pytest.fixture(scope="module")
def images(catalogue: Catalogue) -> TrainingSet:
    return training_set(catalogue)


@pytest.fixture(scope="module")
def events(catalogue: Catalogue) -> pa.Table:
    return interactions_table(plan_products(60, 2), catalogue.items, sessions=4000, seed=2)


@pytest.fixture(scope="module")
def pairs(events: pa.Table, catalogue: Catalogue, images: TrainingSet) -> ClickPairs:
    return training_click_pairs(events, catalogue, images, **SETTINGS)


def test_neither_the_own_item_nor_a_passed_over_variant_is_there(pairs: ClickPairs, images: TrainingSet) -> None:
    assert (pairs.items != images.items[pairs.images]).all()
    parent_of = dict(zip(images.items.tolist(), images.parents.tolist(), strict=True))
    same = np.array([parent_of[item] for item in pairs.items.tolist()]) == images.parents[pairs.images]
    assert (pairs.weights[same] > 0).all()
    assert same.sum() > 20
    assert (pairs.weights[~same] < 0).sum() > 200
    assert ((pairs.weights >= -1) & (pairs.weights <= 1) & (pairs.weights != 0)).all()
    assert pairs.weights.dtype == np.float32


def test_names_are_kept(pairs: ClickPairs, events: pa.Table, catalogue: Catalogue, images: TrainingSet) -> None:
    shown = set(zip(events["query_image_id"].to_pylist(), events["item_id"].to_pylist(), strict=True))
    item_names = sorted(set(catalogue.column("item_id", images.rows)))
    image_names = catalogue.column("image_id", images.rows)
    assert {(image_names[i], item_names[j]) for i, j in zip(pairs.images, pairs.items, strict=True)} <= shown


def test_what_happened_in_other_splits_changes_nothing(
    pairs: ClickPairs, events: pa.Table, catalogue: Catalogue, images: TrainingSet
) -> None:
    split = {
        name: dict(zip(catalogue.items[name].to_pylist(), catalogue.items["split"].to_pylist(), strict=True))
        for name in ("image_id", "item_id")
    }
    inside = np.array(
        [
            split["image_id"][query] == "train" and split["item_id"][item] == "train"
            for query, item in zip(events["query_image_id"].to_pylist(), events["item_id"].to_pylist(), strict=True)
        ]
    )
    assert 0.2 < inside.mean() < 0.9
    # All of their results are bought, at other ranks.
    outside = events.filter(pa.array(~inside))
    bought = outside.set_column(5, "event", pa.array(["purchase"] * outside.num_rows))
    deeper = outside.set_column(4, "rank", pc.add(outside["rank"], 1).cast(pa.int32()))
    changed = pa.concat_tables([events.filter(pa.array(inside)), deeper, bought])
    for log in (changed, events.filter(pa.array(inside))):
        found = training_click_pairs(log, catalogue, images, **SETTINGS)
        for name in ("images", "items", "weights"):
            np.testing.assert_array_equal(getattr(found, name), getattr(pairs, name))
    # And it would, were they of the training split.
    everything = replace(
        catalogue,
        items=catalogue.items.set_column(
            catalogue.items.column_names.index("split"), "split", pa.array(["train"] * catalogue.items.num_rows)
        ),
    )
    assert len(training_click_pairs(events, everything, training_set(everything), **SETTINGS)) > len(pairs)


def test_a_log_that_is_too_short_is_refused(catalogue: Catalogue, images: TrainingSet) -> None:
    with pytest.raises(LookalikeError, match="a longer log is needed"):
        training_click_pairs(INTERACTIONS.empty_table(), catalogue, images, **SETTINGS)
