"""Validation while training gives what evaluation gives."""

from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchmetrics import Metric
from torchmetrics.retrieval import RetrievalMRR

from src.catalog.catalogue import open_catalogue
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings.metric import MetricSettings
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded, evaluate_split
from src.eval.logged_metrics import direction, made_metrics
from src.eval.protocol import Protocol
from src.eval.retrieval_metric import RetrievalMetric, RetrievalMetrics
from src.eval.roles import split_rows
from src.eval.validation import RetrievalValidation, validation_rows
from src.models.color_histogram import color_histogram

SPEC = PreprocessingSpec(size=16, resize="squash")


class Precomputed(lightning.LightningModule):
    """Its batches are the embeddings."""

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return batch


class MeanLength(Metric):
    """One's own: it asks for less than there is, and counts an image as often as it is given."""

    higher_is_better = False
    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, vectors: torch.Tensor, item_ids: torch.Tensor) -> None:
        self.total += vectors.norm(dim=1).sum()
        self.images += len(item_ids)

    def compute(self) -> torch.Tensor:
        return self.total / self.images


def validate(callback: RetrievalValidation, vectors: np.ndarray, order: list[int] | None = None) -> dict:
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, callbacks=[callback], enable_progress_bar=False, enable_model_summary=False
    )
    loader = DataLoader(torch.from_numpy(vectors), batch_size=7, sampler=order)
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
    callback = RetrievalValidation(catalogue, rows, {"retrieval": RetrievalMetrics([*expected])})
    vectors = np.concatenate(seen)
    # A second validation must not see the first one's batches.
    earlier = validate(callback, np.random.default_rng(0).standard_normal(vectors.shape).astype(np.float32))
    assert earlier["val/mrr"] != pytest.approx(expected["mrr"])
    logged = validate(callback, vectors)
    for name, value in expected.items():
        assert logged[f"val/{name}"] == np.float32(value)


def test_an_image_that_a_sampler_repeats_counts_once(catalogue) -> None:
    rows = validation_rows(catalogue)
    vectors = np.random.default_rng(0).standard_normal((len(rows), 4)).astype(np.float32)
    metrics = {"length": MeanLength(), "all": RetrievalMetrics(["mrr", "queries"])}
    order = [*range(len(rows))]
    plain = validate(RetrievalValidation(catalogue, rows, metrics), vectors)
    mixed = validate(RetrievalValidation(catalogue, rows, metrics), vectors, [*order[::-1], 3, 5])
    assert mixed == {**plain, "val/length": pytest.approx(plain["val/length"])}
    assert plain["val/length"] == pytest.approx(np.linalg.norm(vectors, axis=1).mean())
    with pytest.raises(LookalikeError, match="23 different rows were embedded, from 0 to 22, of 24"):
        validate(RetrievalValidation(catalogue, rows, metrics), vectors, order[:-1])


def test_a_metric_of_slices_has_those_of_the_report(catalogue) -> None:
    rows = validation_rows(catalogue)
    vectors = np.random.default_rng(0).standard_normal((len(rows), 4)).astype(np.float32)
    split = {
        name: RetrievalMetric("recall@5", worst_of=name, fewest_items=1, level="image")
        for name in ("item_id", "positives")
    }
    logged = validate(RetrievalValidation(catalogue, rows, {"worst": split["item_id"]}), vectors)
    everything = Embedded(vectors, catalogue.column("image_id", rows), catalogue.column("item_id", rows))
    sides = (everything.take(np.searchsorted(rows, side)) for side in split_rows(catalogue, "val"))
    table = evaluate_embedded(*sides, Protocol(level="image")).per_query.group_by("item_id")
    assert logged["val/worst"] == min(table.aggregate([("recall@5", "mean")])["recall@5_mean"].drop_null().to_pylist())
    with pytest.raises(ConfigError, match="`metric`: slices by positives; the catalogue has image_id, "):
        RetrievalValidation(catalogue, rows, {"worst": split["positives"]})


def test_embeddings_that_are_not_finite_end_training_with_advice(catalogue) -> None:
    rows = validation_rows(catalogue)
    vectors = np.ones((len(rows), 4), np.float32)
    vectors[3] = np.nan
    with pytest.raises(LookalikeError, match=r"no longer finite: lower `optim\.lr`"):
        validate(RetrievalValidation(catalogue, rows, {"retrieval": RetrievalMetrics()}), vectors)


def test_without_validation_data_no_checkpoint_can_be_chosen(data_settings, folder_catalogue, tmp_path: Path) -> None:
    root = folder_catalogue(tmp_path / "shop", items=3, images=1)
    catalogue = open_catalogue(data_settings(root=str(root), val_fraction=0.0))
    with pytest.raises(LookalikeError, match="both are needed"):
        validation_rows(catalogue)


class Undecided(MeanLength):
    higher_is_better = None


class Vector(MeanLength):
    def compute(self) -> torch.Tensor:
        return torch.zeros(3)


MADE = {
    "ours": RetrievalMetrics(["recall@1"]),
    "image": RetrievalMetrics(["recall@1"], level="image", prefix="image/"),
    "length": MeanLength(),
    "undecided": Undecided(),
    "mrr": RetrievalMRR(),
    "layer": torch.nn.Linear(1, 1),
}


def chosen(*names: str, monitor: str = "recall@1", mode: str | None = None) -> tuple[str, str]:
    settings = MetricSettings(logged={name: {"_target_": name} for name in names}, monitor=monitor, mode=mode)
    metrics = made_metrics(settings, lambda component: MADE[component["_target_"]])
    return monitor, direction(metrics, settings)


def test_the_monitored_value_has_the_direction_of_its_metric() -> None:
    assert chosen("ours", "image", "length") == ("recall@1", "max")
    assert chosen("image", monitor="image/recall@1", mode="max") == ("image/recall@1", "max")
    assert chosen("ours", "length", monitor="length") == ("length", "min")
    assert chosen("undecided", monitor="undecided", mode="min") == ("undecided", "min")


@pytest.mark.parametrize(
    ("names", "change", "message"),
    [
        ([], {}, r"`metric\.monitor=recall@1`: must be one that is logged: nothing is, choose with metric=NAME"),
        (["image"], {}, r"`metric\.monitor=recall@1`: must be one that is logged: image/recall@1"),
        (
            ["undecided"],
            {"monitor": "undecided"},
            r"Undecided does not state `higher_is_better`; set `metric\.mode=max`",
        ),
        (["length"], {"monitor": "length", "mode": "max"}, "MeanLength has `higher_is_better=False`, against"),
        (["ours", "mrr"], {}, r"`metric\.logged\.mrr`: RetrievalMRR\.update asks for preds, target, indexes; valid"),
        (["ours", "layer"], {}, r"`metric\.logged\.layer`: Linear is no torchmetrics\.Metric"),
    ],
)
def test_metrics_that_cannot_be_logged_are_named(names: list[str], change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(*names, **change)


def test_two_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`metric\.logged`: recall@1 would be logged twice"):
        made_metrics(MetricSettings(logged={"one": {}, "two": {}}), lambda component: MADE["ours"])


def test_a_metric_that_computes_something_else_is_named(catalogue) -> None:
    rows = validation_rows(catalogue)
    callback = RetrievalValidation(catalogue, rows, {"mine": Vector()})
    with pytest.raises(LookalikeError, match=r"`metric\.logged\.mine`: Vector computed \{'mine': 3\}"):
        callback.rehearse(dim=4)


def test_what_slices_cannot_measure_is_known_before_training_and_a_rehearsal_leaves_no_trace(catalogue) -> None:
    rows = validation_rows(catalogue)
    few = RetrievalValidation(catalogue, rows, {"worst": RetrievalMetric("mrr", worst_of="item_id", fewest_items=2)})
    with pytest.raises(LookalikeError, match=r"none of .* slices has queries of `fewest_items=2` items"):
        few.rehearse(dim=4)
    vectors = np.random.default_rng(0).standard_normal((len(rows), 4)).astype(np.float32)
    metrics = {"length": MeanLength(), "all": RetrievalMetrics(["mrr", "queries"])}
    callback = RetrievalValidation(catalogue, rows, metrics)
    expected = validate(callback, vectors)
    callback.rehearse(dim=7)
    assert not metrics["length"].update_called
    assert validate(callback, vectors) == expected
