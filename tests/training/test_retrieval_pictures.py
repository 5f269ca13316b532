"""When results are drawn; what is drawn is compared with evaluate.py's picture in tests/integration."""

from types import SimpleNamespace
from unittest.mock import NonCallableMagicMock

import lightning
import numpy as np
import pytest
import torch

from src.contracts.errors import ConfigError
from src.datamodules.catalogue_datamodule import CatalogueDataModule
from src.training.retrieval_pictures import RetrievalPictures


@pytest.mark.parametrize(
    ("every", "validated", "expected"), [(1, 1, [1, 2, 3, 4, 5, 6]), (3, 1, [1, 4]), (3, 2, [2, 6])]
)
def test_every_few_epochs(tmp_path, monkeypatch, every, validated, expected):
    data = CatalogueDataModule.__new__(CatalogueDataModule)
    data.catalogue, data.val_rows = None, np.arange(4)
    drawn = []
    callback = RetrievalPictures(every=every)
    monkeypatch.setattr(callback, "_draw", lambda *given: drawn.append(given[2:]) or True)
    module = NonCallableMagicMock(spec=lightning.LightningModule, device=torch.device("cpu"))
    for epoch in range(validated - 1, 6, validated):
        trainer = NonCallableMagicMock(
            spec=lightning.Trainer,
            sanity_checking=False, fast_dev_run=False, current_epoch=epoch, datamodule=data, is_global_zero=True,
            loggers=[], default_root_dir=tmp_path, val_dataloaders=SimpleNamespace(sampler=[[3, 2], [1, 0]]),
        )  # fmt: skip
        callback.on_validation_epoch_start(trainer, module)
        for batch in ([3.0, 2.0], [1.0, 0.0]):
            callback.on_validation_batch_end(trainer, module, torch.tensor(batch, dtype=torch.bfloat16)[:, None])
        callback.on_validation_epoch_end(trainer, module)
    assert [path.name for _, path in drawn] == [f"epoch-{epoch:03d}.png" for epoch in expected]
    assert all(vectors.tolist() == [[0.0], [1.0], [2.0], [3.0]] for vectors, _ in drawn)


@pytest.mark.parametrize("name", ["every", "queries", "top"])
def test_numbers_are_checked(name):
    with pytest.raises(ConfigError, match=f"callbacks.pictures.{name}=0"):
        RetrievalPictures(**{name: 0})
