"""Validation while training gives what evaluation gives."""

from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from src.catalog.catalogue import open_catalogue
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.evaluation import evaluate_split
from src.eval.validation import RetrievalValidation, validation_rows
from src.models.color_histogram import color_histogram

SPEC = PreprocessingSpec(size=16, resize="squash")


class Precomputed(lightning.LightningModule):
    """Its batches are the embeddings."""

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return batch


def validate(callback: RetrievalValidation, vectors: np.ndarray) -> dict:
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, callbacks=[callback], enable_progress_bar=False, enable_model_summary=False
    )
    loader = DataLoader(torch.from_numpy(vectors), batch_size=7)
    trainer.validate(Precomputed(), loader, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.fixture
def catalogue(data_settings, tmp_path: Path, encoded, picture):
    lines = ["item_id,image,split,is_query,is_gallery"]
    for number in range(30):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture(20, 20, seed=number // 3), "PNG"))
        # Rows of other splits lie between, and some images are query and gallery.
        split = "train" if number % 5 == 4 else "val"
        lines.append(f"{number // 3},{number}.png,{split},{int(number % 3 != 0)},{int(number % 3 != 1)}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    settings = data_settings(reader="manifest", root=str(tmp_path), manifest="list.csv", split_by="given")
    return open_catalogue(settings)


def test_it_agrees_with_evaluation(catalogue) -> None:
    seen = []

    def embed(pixels: np.ndarray) -> np.ndarray:
        vectors = color_histogram(pixels)
        seen.append(vectors)
        return vectors

    expected = evaluate_split(catalogue, "val", SPEC, embed).metrics
    rows = validation_rows(catalogue)
    assert rows.tolist() == [row for row in range(30) if row % 5 != 4]
    callback = RetrievalValidation(catalogue, rows)
    vectors = np.concatenate(seen)
    # A second validation must not see the first one's batches.
    earlier = validate(callback, np.random.default_rng(0).standard_normal(vectors.shape).astype(np.float32))
    assert earlier["val/mrr"] != pytest.approx(expected["mrr"])
    logged = validate(callback, vectors)
    for name, value in expected.items():
        assert logged[f"val/{name}"] == pytest.approx(value)


def test_embeddings_that_are_not_finite_end_training_with_advice(catalogue) -> None:
    rows = validation_rows(catalogue)
    vectors = np.ones((len(rows), 4), np.float32)
    vectors[3] = np.nan
    with pytest.raises(LookalikeError, match=r"no longer finite: lower `optim\.lr`"):
        validate(RetrievalValidation(catalogue, rows), vectors)


def test_without_validation_data_no_checkpoint_can_be_chosen(data_settings, folder_catalogue, tmp_path: Path) -> None:
    root = folder_catalogue(tmp_path / "shop", items=3, images=1)
    catalogue = open_catalogue(data_settings(root=str(root), val_fraction=0.0))
    with pytest.raises(LookalikeError, match="both are needed"):
        validation_rows(catalogue)
