"""debug=overfit: one fixed batch is trained on and validated, and its loss falls."""

import re
from pathlib import Path

import numpy as np
import pytest

from src.commandline import composed, make
from src.contracts.errors import LookalikeError
from src.contracts.settings import TrainSettings
from src.datamodules.fixed_batch import FixedBatch
from src.datamodules.pk_sampler import PKSampler
from src.datamodules.training_set import TrainingSet
from src.training.run import train
from src.training.trainer import BEST

NUMBERS = np.arange(60)
IMAGES = TrainingSet(NUMBERS, NUMBERS // 5, NUMBERS // 10, NUMBERS // 20, NUMBERS % 2)


def test_a_fixed_batch_is_the_first_of_the_first_epoch_in_each_step() -> None:
    drawn = PKSampler(IMAGES, p=4, k=2, seed=3)
    first = next(iter(drawn))
    drawn.set_epoch(5)
    fixed = FixedBatch(drawn, steps=3)
    for epoch in range(2):
        fixed.set_epoch(epoch)
        assert list(fixed) == [first] * 3
    assert (len(fixed), fixed.batch) == (3, first)


def settings(folder: Path, catalogue: Path, *overrides: str) -> TrainSettings:
    return composed(
        TrainSettings,
        "train",
        "experiment=demo",
        "debug=overfit",
        "data=folder",
        f"data.root={catalogue}",
        f"data.cache={folder / 'cache'}",
        "data.p=6",
        "data.k=3",
        "data.augmentation=strong",
        "preprocessing.size=32",
        "model.backbone_kwargs={channels: [8, 8, 16, 16]}",
        "trainer.accelerator=cpu",
        "trainer.overfit=20",
        "trainer.epochs=2",
        f"hydra.runtime.output_dir={folder}",
        *overrides,
    )


@pytest.fixture(scope="module")
def catalogue(folder_catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_catalogue(tmp_path_factory.mktemp("data"), items=30, images=3)


def test_the_loss_falls_and_the_batch_is_learnt(
    catalogue: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert train(settings(tmp_path, catalogue), tmp_path, make=make) is None
    assert (tmp_path / BEST).is_file()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("src.")]
    found = re.fullmatch(r"one fixed batch: loss (\S+) at the start, (\S+) after 40 steps", said[-1])
    assert float(found[2]) < float(found[1]) / 10
    epochs = [line for line in said if line.startswith("epoch 2/2")]
    assert "recall@1 1.000" in epochs[0]
    # A trial leaves no metrics that could be taken for a run's.
    assert not (tmp_path / "metrics.json").exists()


def test_a_loss_that_does_not_fall_is_an_error(catalogue: Path, tmp_path: Path) -> None:
    given = settings(tmp_path, catalogue, "optim.lr=0", "optim.backbone_lr=0", "trainer.epochs=1")
    with pytest.raises(
        LookalikeError, match=r"the loss of one fixed batch did not fall: .* Raise or lower `optim\.lr`"
    ):
        train(given, tmp_path, make=make)
