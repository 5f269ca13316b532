"""The training set, searched now and then for what is confused today."""

from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from src.datamodules.neighbourhood_sampler import NeighbourhoodSampler
from src.datamodules.neighbourhoods import Neighbourhoods
from src.datamodules.training_set import TrainingSet
from src.training.global_hard_negatives import GlobalHardNegatives
from src.training.weight_averaging import MovingAverage

COUNT = 24
ITEMS = np.repeat(np.arange(COUNT), 2)
IMAGES = TrainingSet(
    rows=np.arange(48), items=ITEMS, parents=ITEMS, categories=np.zeros(48, np.int64), domains=np.full(48, -1)
)
# Items stand in a row of greys; the encoder below sees them as a circle, so that neighbours are known.
PIXELS = np.broadcast_to((ITEMS * 10)[:, None, None, None], (48, 2, 2, 3)).astype(np.uint8)


class Circle(nn.Module):
    """Greys as angles: items whose numbers differ by one are nearest. It has a part that must stay frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(0.5)
        self.frozen = nn.BatchNorm1d(2)

    def forward(self, pixels: Tensor) -> Tensor:
        angle = pixels.float().mean(dim=(1, 2, 3)) / 10 * (3 / COUNT) + self.turn
        return self.dropout(torch.stack([angle.cos(), angle.sin()], dim=1))


class Module(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Circle()
        self.batches: list[list[int]] = []
        self.modes: list[tuple[bool, ...]] = []

    def on_train_start(self) -> None:
        self.encoder.frozen.eval()

    def training_step(self, rows: Tensor, batch_idx: int) -> Tensor:
        self.batches.append(ITEMS[rows.tolist()][::2].tolist())
        self.modes.append(tuple(module.training for module in self.encoder.modules()))
        return self.encoder.turn.sum() * 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Rows(Dataset[Tensor]):
    def __len__(self) -> int:
        return len(ITEMS)

    def __getitem__(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows)


def run(
    epochs: int, *, folder: Path, resume: Path | None = None, **changes: object
) -> tuple[Module, lightning.Trainer]:
    sampler = NeighbourhoodSampler(IMAGES, p=6, k=2, seed=0, share=0.5)
    settings: dict = {"every": 2, "first_epoch": 1, "count": 2, "skip": 0, "batch": 7, **changes}
    callback = GlobalHardNegatives(sampler, IMAGES, lambda: PIXELS, **settings)
    module = Module()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=[callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
        default_root_dir=folder,
    )
    trainer.fit(module, DataLoader(Rows(), batch_size=None, sampler=sampler), ckpt_path=resume, weights_only=True)
    return module, trainer


def brought(batch: list[int]) -> bool:
    """Whether each of the last three items is next to one of the first three."""
    return all(min(abs(item - anchor) for anchor in batch[:3]) <= 2 for item in batch[3:])


def test_from_the_first_search_on_batches_hold_what_is_confused(tmp_path: Path) -> None:
    module, trainer = run(4, folder=tmp_path)
    epochs = [module.batches[start : start + 4] for start in range(0, 16, 4)]
    assert not all(brought(batch) for batch in epochs[0])
    assert all(brought(batch) for epoch in epochs[1:] for batch in epoch)
    assert trainer.callback_metrics["train/neighbour_share"] == 0.5
    # Each item's two images are alike to the encoder, and unlike all others.
    assert trainer.callback_metrics["train/confusion"] == 0


def test_the_encoder_is_left_as_it_was_and_so_are_random_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, _ = run(3, folder=tmp_path)
    state = torch.get_rng_state()
    assert len(set(module.modes)) == 1
    assert not module.encoder.frozen.training
    assert module.encoder.dropout.training
    torch.manual_seed(0)
    run(3, folder=tmp_path, first_epoch=99)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_resumed_run_draws_as_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, _ = run(5, folder=tmp_path, every=3)
    first, trainer = run(2, folder=tmp_path, every=3)
    trainer.save_checkpoint(tmp_path / "part.ckpt")
    # Epoch 3 searches nothing: it draws by the neighbourhoods of epoch 2.
    second, _ = run(5, folder=tmp_path, every=3, resume=tmp_path / "part.ckpt")
    assert first.batches + second.batches == whole.batches


def test_lasting_neighbours_stay(tmp_path: Path) -> None:
    lasting = Neighbourhoods.of_pairs(np.array([0]), np.array([12]), np.array([1.0]), item_count=COUNT)
    module, _ = run(40, folder=tmp_path, every=1, first_epoch=0, lasting=lasting)
    together = [batch for batch in module.batches if 0 in batch[:3]]
    assert 0.2 < np.mean([12 in batch[3:] for batch in together]) < 0.8


@pytest.mark.parametrize("first", [0, 2])
def test_the_first_search_comes_when_it_is_asked_for(first: int, tmp_path: Path, caplog) -> None:
    with caplog.at_level("INFO", logger="src.training.global_hard_negatives"):
        run(4, folder=tmp_path, every=2, first_epoch=first)
    found = [record.args[0] for record in caplog.records if record.name == "src.training.global_hard_negatives"]
    assert found == ([1, 3] if first == 0 else [3])


def test_averaged_weights_search(tmp_path: Path) -> None:
    class Drift(Module):
        def training_step(self, rows: Tensor, batch_idx: int) -> Tensor:
            return self.encoder.turn.sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    class Seen(GlobalHardNegatives):
        def _embedded(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> np.ndarray:
            found = super()._embedded(trainer, pl_module)
            angles.append((float(np.arctan2(found[0, 1], found[0, 0])), pl_module.encoder.turn.item()))
            return found

    angles: list[tuple[float, float]] = []
    sampler = NeighbourhoodSampler(IMAGES, p=6, k=2, seed=0, share=0.5)
    search = Seen(sampler, IMAGES, lambda: PIXELS, every=1, first_epoch=1, count=2, skip=0, batch=7)
    never = MovingAverage(1.0)
    lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        callbacks=[search, never],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
        default_root_dir=tmp_path,
    ).fit(Drift(), DataLoader(Rows(), batch_size=None, sampler=sampler))
    # The first step's weights (turned by -1) are the average for ever; those in training have moved on, to -4.
    assert angles == [(pytest.approx(-1, abs=1e-5), -4.0)]
