"""A run: what it checks, and when."""

from pathlib import Path

import pytest

from src.commandline import composed, make
from src.contracts.errors import ConfigError
from src.contracts.settings import TrainSettings
from src.training.run import train


def test_what_cannot_be_made_is_named_before_images_are_looked_for(tmp_path: Path) -> None:
    settings = composed(
        TrainSettings,
        "train",
        "data=folder",
        f"data.root={tmp_path / 'nowhere'}",
        "model=resnet10_small",
        "miner._target_=pytorch_metric_learning.miners.BatchEasyHardMiner",
        "miner.pos_strategy=hardest",
        f"hydra.runtime.output_dir={tmp_path}",
    )
    with pytest.raises(ConfigError, match="pos_strategy must be one of"):
        train(settings, tmp_path / "run", make=make)
