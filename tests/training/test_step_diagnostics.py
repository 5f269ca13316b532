"""What is logged of steps, and an encoder that really collapses."""

import csv
import logging
import time
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, TripletMarginLoss
from torch.utils.data import DataLoader

from src.datamodules.training_set import Batch, Facts
from src.losses.diagnostics import diagnose
from src.losses.objective import Objective
from src.losses.weighted_sum import WeightedSum
from src.training.step_diagnostics import collapsed, triplet_margin
from tests.training.test_freezing import plain_trainer
from tests.training.test_metric_learning import Colours, make_module, make_trainer

NAMES = ("active_triplets", "positive_distance", "negative_distance", "effective_rank", "images_per_second", "waiting")


class Keep(lightning.Callback):
    """What the last step gave, beside the one that measures it."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        self.found = diagnose(outputs["embeddings"], batch.facts.items, 0.1)


def test_each_logged_step_has_its_measures(tmp_path: Path) -> None:
    trainer, keep = make_trainer(tmp_path), Keep()
    trainer.callbacks.append(keep)
    trainer.fit(make_module(), Colours())
    rows = list(csv.DictReader((tmp_path / "log" / "metrics.csv").read_text().splitlines()))
    measured = [row for row in rows if row["train/effective_rank"]]
    # Every tenth of 20 steps.
    assert len(measured) == 2
    for row in measured:
        assert row["train/loss"]
        assert all(row[f"train/{name}"] for name in NAMES)
        assert 0 <= float(row["train/waiting"]) <= 1
        assert float(row["train/images_per_second"]) > 0
    for name, value in keep.found.items():
        assert float(measured[-1][f"train/{name}"]) == pytest.approx(value.item(), rel=1e-5)


class Slow(Colours):
    """Takes longer to read a batch than to learn from it."""

    def train_dataloader(self) -> DataLoader:
        def read(batch: Batch) -> Batch:
            time.sleep(0.3)
            return batch

        return DataLoader([self.batch] * 10, batch_size=None, collate_fn=read)


def test_waiting_for_data_is_told_from_work() -> None:
    trainer = plain_trainer(epochs=1)
    trainer.log_every_n_steps = 10
    trainer.fit(make_module(), Slow())
    found = trainer.callback_metrics
    assert found["train/waiting"] > 0.5
    assert found["train/images_per_second"] < 8 / 0.3


class Noise(Colours):
    """Images that say nothing of their items: the hardest negatives drive all embeddings to one point."""

    def train_dataloader(self) -> DataLoader:
        rng = torch.Generator().manual_seed(0)
        items, unknown = torch.arange(32) // 4, torch.full((32,), -1)
        facts = Facts(items, torch.arange(32), items, unknown, unknown)
        batches = [
            Batch(torch.randint(0, 256, (32, 32, 32, 3), generator=rng, dtype=torch.uint8), facts) for _ in range(40)
        ]
        return DataLoader(batches, batch_size=None)


@pytest.mark.parametrize("data", [Noise, Colours])
def test_a_collapse_is_named_once_with_what_to_change(data: type, caplog: pytest.LogCaptureFixture) -> None:
    lightning.seed_everything(0, verbose=False)
    trainer = plain_trainer(epochs=1)
    trainer.log_every_n_steps = 5
    with caplog.at_level(logging.WARNING, logger="src.training.step_diagnostics"):
        trainer.fit(make_module(), data())
    # Lightning's own messages depend on which test comes first.
    messages = [record.getMessage() for record in caplog.records if record.name == "src.training.step_diagnostics"]
    if data is Colours:
        assert messages == []
        return
    (message,) = messages
    assert "the encoder has collapsed at step" in message
    for fix in ("`optim.lr`", "`optim.backbone_lr`", "margin", "miner", "`data.k`"):
        assert fix in message


def test_the_margin_is_that_of_a_triplet_loss_wherever_it_is() -> None:
    arcface = Objective(ArcFaceLoss(num_classes=3, embedding_size=4))
    triplets = Objective(TripletMarginLoss(margin=0.3))
    # An angle is no distance.
    assert triplet_margin(arcface) == 0.1
    assert triplet_margin(triplets) == 0.3
    assert triplet_margin(WeightedSum({"a": (arcface, 1.0), "b": (triplets, 1.0)})) == 0.3


def test_a_few_items_may_lie_in_one_direction() -> None:
    spread = {"negative_distance": 1.3, "effective_rank": 1.2}
    assert collapsed(spread, 2) is None
    assert collapsed(spread, 16) == "the embeddings of 16 items fill 1.2 directions"
    assert collapsed({"negative_distance": 0.02, "effective_rank": 7.0}, 16).startswith(
        "images of different items lie 0.020"
    )
    assert collapsed({"negative_distance": float("nan"), "effective_rank": float("nan")}, 1) is None
