"""A catalogue as Lightning takes it."""

from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.datamodules.augmentation import strength_of
from src.datamodules.catalogue_datamodule import CatalogueDataModule
from src.datamodules.pk_sampler import PKSampler
from src.datamodules.training_set import Batch, training_set
from src.eval.validation import validation_rows

SPEC = PreprocessingSpec(size=16)


@pytest.fixture
def catalogue(data_settings, folder_catalogue, tmp_path: Path) -> Catalogue:
    return open_catalogue(data_settings(root=str(folder_catalogue(tmp_path / "shop", items=16, images=4))))


def make(catalogue: Catalogue, tmp_path: Path, **changes: object) -> CatalogueDataModule:
    arguments: dict = {
        "spec": SPEC,
        "val_rows": validation_rows(catalogue),
        "sampler": PKSampler,
        "p": 2,
        "k": 2,
        "augmentation": None,
        "workers": 0,
        "eval_batch": 5,
        "cache": tmp_path / "cache",
        "seed": 0,
    }
    return CatalogueDataModule(catalogue, training_set(catalogue), **{**arguments, **changes})


def test_training_batches_hold_the_pixels_of_their_labels(catalogue: Catalogue, tmp_path: Path) -> None:
    rows = catalogue.train_rows()
    images = {preprocess(catalogue.image_bytes(int(row)), SPEC).tobytes(): row for row in rows}
    items = sorted(set(catalogue.column("item_id", rows)))
    count = 0
    for pixels, facts in make(catalogue, tmp_path).train_dataloader():
        labels = facts.items
        assert (pixels.dtype, pixels.shape, labels.dtype) == (torch.uint8, (4, 16, 16, 3), torch.int64)
        found = [images[image.numpy().tobytes()] for image in pixels]
        assert catalogue.column("item_id", np.array(found)).tolist() == [items[label] for label in labels]
        assert rows[facts.images].tolist() == found
        count += 1
    assert count == len(rows) // 4


def test_validation_batches_hold_each_image_once_and_in_order(catalogue: Catalogue, tmp_path: Path) -> None:
    rows = validation_rows(catalogue)
    batches = list(make(catalogue, tmp_path).val_dataloader())
    assert [len(pixels) for pixels in batches[:-1]] == [5] * (len(batches) - 1)
    expected = np.stack([preprocess(catalogue.image_bytes(int(row)), SPEC) for row in rows])
    np.testing.assert_array_equal(torch.cat(batches).numpy(), expected)


@pytest.mark.parametrize(("p", "k"), [(20, 4), (7, 20)])
def test_a_batch_larger_than_the_data_is_refused(catalogue: Catalogue, tmp_path: Path, p: int, k: int) -> None:
    images = len(catalogue.train_rows())
    with pytest.raises(ConfigError) as caught:
        make(catalogue, tmp_path, p=p, k=k)
    message = (
        f"`data.p={p}` x `data.k={k}`: a batch of {p * k} images is larger than the data ({images} training images)"
    )
    assert message in str(caught.value)


class Spy(lightning.LightningModule):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained: list[list[tuple]] = []
        self.validated: list[torch.dtype] = []

    def on_train_epoch_start(self) -> None:
        self.trained.append([])

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        pixels, facts = batch
        self.trained[-1].append((pixels.dtype, pixels.float().sum().item(), tuple(facts.items.tolist())))
        return self.weight.sum()

    def validation_step(self, pixels: torch.Tensor, batch_idx: int) -> None:
        self.validated.append(pixels.dtype)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(datamodule: CatalogueDataModule, epochs: int) -> Spy:
    spy = Spy()
    lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    ).fit(spy, datamodule)
    return spy


def test_lightning_draws_anew_each_epoch_and_alike_each_run(catalogue: Catalogue, tmp_path: Path) -> None:
    first = train(make(catalogue, tmp_path, augmentation=strength_of("light")), epochs=3)
    again = train(make(catalogue, tmp_path, augmentation=strength_of("light")), epochs=3)
    assert first.trained == again.trained
    orders = [[labels for _, _, labels in epoch] for epoch in first.trained]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_training_pixels_are_augmented_and_validation_pixels_are_not(catalogue: Catalogue, tmp_path: Path) -> None:
    spy = train(make(catalogue, tmp_path, augmentation=strength_of("strong")), epochs=1)
    assert {dtype for dtype, _, _ in spy.trained[0]} == {torch.float32}
    assert set(spy.validated) == {torch.uint8}
    plain = train(make(catalogue, tmp_path), epochs=1)
    assert {dtype for dtype, _, _ in plain.trained[0]} == {torch.uint8}
    assert [labels for _, _, labels in plain.trained[0]] == [labels for _, _, labels in spy.trained[0]]


def test_batches_of_an_accumulated_step_have_draws_of_their_own(catalogue: Catalogue, tmp_path: Path) -> None:
    datamodule = make(catalogue, tmp_path, augmentation=strength_of("light"))
    batch = next(iter(datamodule.train_dataloader()))

    def pixels(step: int, ready: int, accumulated: int) -> torch.Tensor:
        progress = SimpleNamespace(current=SimpleNamespace(ready=ready))
        datamodule.trainer = SimpleNamespace(
            training=True,
            global_step=step,
            global_rank=0,
            accumulate_grad_batches=accumulated,
            fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
        )
        return datamodule.on_after_batch_transfer(batch, 0).pixels

    first, second = pixels(3, 6, 2), pixels(3, 7, 2)
    assert not torch.equal(first, second)
    # They are those of the same batches without accumulation.
    assert torch.equal(first, pixels(6, 6, 1))
    assert torch.equal(second, pixels(7, 7, 1))


@pytest.mark.slow
def test_worker_processes_fetch_the_same_batches(catalogue: Catalogue, tmp_path: Path) -> None:
    def batches(workers: int) -> list[tuple]:
        loader = make(catalogue, tmp_path, workers=workers).train_dataloader()
        return [(pixels.numpy().tobytes(), facts.items.tolist()) for pixels, facts in loader]

    assert batches(1) == batches(0)
