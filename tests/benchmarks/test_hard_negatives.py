"""What the table of hard negatives is made of."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.hard_negatives import ARMS, as_table, query_figures
from src.commandline import composed
from src.contracts.settings import TrainSettings


def test_the_figures_of_a_query() -> None:
    table = pa.table(
        {
            "recall@1": [1.0, 0.0, 0.0, 0.0, 1.0],
            "mrr": [1.0, 1 / 3, 1 / 2, 1 / 9, 1.0],
            "twin_id": pa.array(["t", "t", "t", "t", None], pa.string()),
            "result_item_ids": [["a", "t"], ["b", "t", "a"], ["b", "a", "t"], ["b", "c"], ["a", "b"]],
        }
    )
    nan = np.nan
    expected = [[1, 1, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0], [1, nan, nan]]
    np.testing.assert_array_equal(query_figures(table), expected)


def test_the_table_has_a_line_for_each_arm_and_intervals_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    base = (rng.random((3, 60, 3)) < 0.4).astype(float)
    base[:, 30:, 1:] = np.nan
    better = np.where(np.isnan(base), np.nan, rng.random(base.shape) < 0.9)
    products = np.repeat(np.arange(20), 3)
    lines = as_table({"random": (base, products), "other": (better, products)}).splitlines()
    assert len(lines) == 5
    assert lines[2].startswith(f"| random | {base[..., 0].mean():.3f} |")
    difference = better[..., 0].mean() - base[..., 0].mean()
    assert lines[3].startswith(f"| other | {better[..., 0].mean():.3f} ({difference:+.3f}, +")
    assert lines[4] == "| queries | 60 | 30 | 30 |"


@pytest.mark.parametrize("name", ARMS)
def test_each_arm_composes(name: str) -> None:
    settings = composed(TrainSettings, "train", "experiment=demo", "hydra.runtime.output_dir=x", *ARMS[name])
    assert settings.name == "demo"
