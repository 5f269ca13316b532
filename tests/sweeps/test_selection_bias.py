"""How far the best trial can be trusted, on planted trials."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.settings.sweep import SweepSettings
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.per_query import write_queries
from src.sweeps.selection_bias import selection_bias_notes
from src.sweeps.trials import trial_folder


def evaluated(folder: Path, noise: float, seed: int, *, items: int = 60, method: str = "m") -> None:
    """A trial whose photos of an item lie `noise` apart."""
    directions = np.random.default_rng(0).standard_normal((items, 16))
    rng = np.random.default_rng(seed)
    sides = []
    for role in ("query", "gallery"):
        rows = np.repeat(np.arange(items), 2)
        vectors = (directions[rows] + noise * rng.standard_normal((len(rows), 16))).astype(np.float32)
        ids = [f"{role}-{row}-{n % 2}" for n, row in enumerate(rows)]
        names = [f"item-{row}" for row in rows]
        table = pa.table({"image_id": ids, "item_id": names})
        sides.append(Embedded(vectors, np.array(ids, object), np.array(names, object), table))
    table = evaluate_embedded(*sides).per_query
    write_queries(table, folder / "validation" / "queries.parquet", name="t", split="val", method=method, seed=seed)


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_trials_that_are_as_good_are_counted(tmp_path: Path, seeds: list[int]) -> None:
    for number, noise in enumerate([0.8, 0.8, 3.0, 3.0]):
        for seed in seeds:
            evaluated(tmp_path / trial_folder(number, seed), noise, 10 * number + seed)
    ranked = [0, 1, 2, 3]
    optimistic, best, unit, alike = selection_bias_notes(tmp_path, SweepSettings(seeds=seeds), ranked, 6)
    assert optimistic.startswith("selected on validation from 6 trials: the best value is optimistic")
    assert best.startswith("trial 0: recall@1 ")
    assert "95% interval" in best
    assert unit.startswith("no query has a parent_id: in the intervals and tests each item counts as a product")
    assert alike.startswith("1 of 3 other finished trials do not differ from it significantly")
    assert ("may come from the seed" in alike) == (len(seeds) == 1)


def test_trials_on_other_queries_are_not_compared(tmp_path: Path) -> None:
    evaluated(tmp_path / trial_folder(0, 0), 0.8, 0)
    evaluated(tmp_path / trial_folder(1, 0), 0.8, 0, items=50)
    assert "cannot be compared query by query: " in selection_bias_notes(tmp_path, SweepSettings(), [0, 1], 2)[1]
    # A race may leave one.
    _, alone = selection_bias_notes(tmp_path, SweepSettings(), [0], 1)
    assert "95% interval" in alone
