"""What the tables of the grocery set are made of."""

import pytest

from benchmarks.grocery import COMBINATIONS, PARTS
from src.commandline import composed
from src.contracts.settings import TrainSettings


@pytest.mark.parametrize("name", [*COMBINATIONS, *PARTS])
def test_each_line_can_be_trained(name: str) -> None:
    overrides = COMBINATIONS[name] if name in COMBINATIONS else ("data=grocery_unseen", *PARTS[name])
    composed(TrainSettings, "train", "experiment=grocery", "hydra.runtime.output_dir=x", *overrides).check()


@pytest.mark.parametrize("table", [COMBINATIONS, PARTS])
def test_no_two_lines_are_the_same(table: dict[str, tuple[str, ...]]) -> None:
    assert len({frozenset(overrides) for overrides in table.values()}) == len(table)
