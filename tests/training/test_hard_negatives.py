"""What the settings add to a training."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings.clicks import ClickSettings, click_problems
from src.contracts.settings.neighbours import NeighbourSettings, neighbour_problems
from src.datamodules.catalogue_datamodule import CatalogueDataModule
from src.datamodules.click_pairs import ClickPairs
from src.datamodules.neighbourhood_sampler import NeighbourhoodSampler
from src.datamodules.pk_sampler import PKSampler
from src.datamodules.training_set import TrainingSet, training_set
from src.pipelines.co_clicks import main as co_clicks
from src.shop.clicks import interactions_table
from src.shop.listing import items_table
from src.shop.products import plan_products
from src.training.global_hard_negatives import GlobalHardNegatives
from src.training.hard_negatives import (
    click_neighbourhoods,
    neighbour_searches,
    read_click_pairs,
    sampler_with_neighbourhoods,
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    root = tmp_path_factory.mktemp("shop")
    products = plan_products(40, 2)
    items = items_table(products, 2)
    pq.write_table(interactions_table(products, items, sessions=2000, seed=2), root / "interactions.parquet")
    return Catalogue(items, root)


def add(catalogue: Catalogue, *, neighbours: bool = True, every: int = 0, **clicks: object):
    """The pairs that the clicks give, the callbacks, and the sampler."""
    images = training_set(catalogue)
    pairs = read_click_pairs(catalogue, images, ClickSettings(**clicks))
    lasting = click_neighbourhoods(pairs, images) if pairs else None
    datamodule = CatalogueDataModule(
        catalogue,
        images,
        spec=PreprocessingSpec(size=16),
        val_rows=np.arange(2),
        sampler=sampler_with_neighbourhoods(
            partial(NeighbourhoodSampler, share=0.5) if neighbours else PKSampler, lasting
        ),
        p=8,
        k=2,
        augmentation=None,
        workers=0,
        eval_batch=8,
        cache=catalogue.root / "pixels",
        seed=0,
    )
    callbacks = neighbour_searches(
        datamodule, images, neighbours=NeighbourSettings(every=every), lasting=lasting, batch=8
    )
    return pairs, callbacks, datamodule.sampler


def test_nothing_asked_for_adds_nothing(catalogue: Catalogue) -> None:
    pairs, callbacks, _ = add(catalogue, neighbours=False, log="nowhere.parquet")
    assert pairs is None
    assert callbacks == []


@pytest.mark.parametrize("every", [0, 2])
def test_clicks_give_pairs_and_change_the_batches(catalogue: Catalogue, every: int) -> None:
    pairs, callbacks, sampler = add(catalogue, weight=0.3, every=every)
    assert isinstance(pairs, ClickPairs)
    assert [type(callback) for callback in callbacks] == [GlobalHardNegatives] * bool(every)
    assert len(sampler.neighbourhoods.items) > 50
    list(sampler)
    assert sampler.neighbour_share > 0.2


def test_clicks_go_with_any_sampler(catalogue: Catalogue) -> None:
    pairs, callbacks, _ = add(catalogue, neighbours=False, weight=0.3)
    assert isinstance(pairs, ClickPairs)
    assert callbacks == []


def test_searches_alone(catalogue: Catalogue) -> None:
    pairs, callbacks, sampler = add(catalogue, every=1)
    assert pairs is None
    assert len(callbacks) == 1
    assert len(sampler.neighbourhoods.items) == 0


def test_a_log_that_is_not_there_is_named(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"`clicks\.log=nowhere\.parquet`: .* cannot be read"):
        add(catalogue, weight=0.3, log="nowhere.parquet")


def test_items_clicked_together_are_added(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    co_clicks([str(catalogue.root / "interactions.parquet"), "--output", str(file)])
    without, _, _ = add(catalogue, weight=0.3)
    with_pairs, _, _ = add(catalogue, weight=0.3, pairs=str(file))
    assert (with_pairs.weights < 0).sum() == (without.weights < 0).sum()
    assert (with_pairs.weights > 0).sum() > (without.weights > 0).sum() + 50
    with pytest.raises(TableError, match=r"`clicks\.pairs=gone`: .* `python -m src\.pipelines\.co_clicks`"):
        add(catalogue, weight=0.3, pairs="gone")


def test_neighbours_of_clicks_are_both_what_was_liked_and_what_was_passed_over() -> None:
    items = np.array([0, 0, 1, 2])
    images = TrainingSet(np.arange(4), items, items, items, items)
    pairs = ClickPairs(np.array([0, 1, 1, 3]), np.array([1, 1, 2, 0]), np.array([0.5, -0.25, -1, 0.5], np.float32))
    table = click_neighbourhoods(pairs, images)
    assert [dict(zip(*(v.tolist() for v in table.of(item)), strict=True)) for item in range(3)] == [
        {1: 0.75, 2: 1.0},
        {},
        {0: 0.5},
    ]


def test_settings_that_cannot_work_are_named() -> None:
    assert not click_problems(ClickSettings())
    assert "has no effect with `clicks.weight=0`" in click_problems(ClickSettings(pairs="pairs.parquet"))[0]
    wrong = click_problems(ClickSettings(weight=-1, temperature=0, prior_looks=0, clip=0.5))
    assert [line.split("=")[0] for line in wrong] == [
        "`clicks.weight",
        "`clicks.temperature",
        "`clicks.prior_looks",
        "`clicks.clip",
    ]

    def neighbours(sampler: str, clicks: float = 0.0, epochs: int = 2, **changes: int) -> list[str]:
        return neighbour_problems(NeighbourSettings(**changes), sampler=sampler, clicks=clicks, epochs=epochs)

    assert not neighbours("PKSampler")
    assert not neighbours("NeighbourhoodSampler", every=1)
    assert not neighbours("NeighbourhoodSampler", clicks=0.3)
    assert "set `sampler=neighbours`" in neighbours("PKSampler", every=1)[0]
    assert "`trainer.epochs=1` end before the first search" in neighbours("NeighbourhoodSampler", every=1, epochs=1)[0]
    assert not neighbours("NeighbourhoodSampler", every=1, epochs=0)
    assert "nothing finds neighbours" in neighbours("NeighbourhoodSampler")[0]
    assert len(neighbours("NeighbourhoodSampler", every=1, count=0, skip=-1)) == 2
