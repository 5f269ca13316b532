"""Random images for the tests of our torchmetrics, and what two processes measure on shares of them."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.distributed
from torchmetrics import Metric, MetricCollection

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError
from src.eval.embedded import Embedded
from src.eval.retrieval_metric import MeanAveragePrecision, RecallAtK, RetrievalMetrics
from src.eval.validation import RetrievalValidation

NAMES = ["recall@1", "recall@5", "precision@5", "map@10", "ndcg@10", "graded_ndcg@10", "map@r", "r_precision", "mrr"]
NAMES += ["queries", "queries_without_positives"]
COLUMNS = ("category", "parent_id", "session")
COUNT = 60


class Images:
    """Random images, of which some tie, some are alone, and some have null in a column."""

    def __init__(self, seed: int = 0, count: int = COUNT) -> None:
        rng = np.random.default_rng(seed)
        self.vectors = torch.from_numpy(rng.standard_normal((count, 4)).astype(np.float32))
        self.vectors[count // 2 :: 7] = self.vectors[0]
        self.items = torch.from_numpy(rng.integers(0, count // 4, count))
        self.items[3] = 999
        self.ids = torch.arange(count)
        self.is_query, self.is_gallery = (torch.from_numpy(rng.random(count) < 0.7) for _ in range(2))
        self.columns = {name: torch.from_numpy(rng.integers(-1, 3, count)) for name in COLUMNS}

    def batch(self, rows: object) -> dict:
        return {
            "vectors": self.vectors[rows],
            "item_ids": self.items[rows],
            "image_ids": self.ids[rows],
            "is_query": self.is_query[rows],
            "is_gallery": self.is_gallery[rows],
            "columns": {name: codes[rows] for name, codes in self.columns.items()},
        }

    def sides(self) -> tuple[Embedded, Embedded]:
        """What evaluate.py gets: words in the place of numbers."""
        names = np.array([f"image {number}" for number in self.ids.tolist()], dtype=object)
        items = np.array([f"item {number}" for number in self.items.tolist()], dtype=object)
        words = {name: [None if c < 0 else f"{name} {c}" for c in codes] for name, codes in self.columns.items()}
        everything = Embedded(self.vectors.numpy(), names, items, pa.table(words))
        query, gallery = (everything.take(np.flatnonzero(role)) for role in (self.is_query, self.is_gallery))
        return query, gallery


def updated(metric, images: Images, *, batch: int = 13, order: np.ndarray | None = None):
    rows = np.arange(len(images.ids)) if order is None else order
    for start in range(0, len(rows), batch):
        given = images.batch(rows[start : start + batch])
        metric.update(**given)
    return metric


class Seen(Metric):
    """One's own, which counts an image as often as it is given."""

    higher_is_better = True
    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, image_ids: torch.Tensor) -> None:
        self.images += len(image_ids)

    def compute(self) -> torch.Tensor:
        return self.images


def validated(rank: int, world: int) -> dict[str, float]:
    """What the callback logs of images that a datamodule deals out; with two processes it gives one of 59 to both."""
    images, count = Images(), COUNT - 1
    table = {
        "image_id": [f"image {number}" for number in range(count)],
        "item_id": [f"item {number}" for number in images.items[:count].tolist()],
        "split": ["val"] * count,
        "is_query": images.is_query[:count].tolist(),
        "is_gallery": images.is_gallery[:count].tolist(),
    }
    rows = np.arange(rank, -(-count // world) * world, world) % count
    batches = [rows[start : start + 7].tolist() for start in range(0, len(rows), 7)]
    found: dict[str, float] = {}
    metrics = {"retrieval": RetrievalMetrics(["recall@1", "mrr", "queries"]), "seen": Seen()}
    callback = RetrievalValidation(Catalogue(pa.table(table), Path()), np.arange(count), metrics)
    trainer: Any = SimpleNamespace(
        val_dataloaders=SimpleNamespace(sampler=batches),
        global_rank=rank,
        is_global_zero=False,
        sanity_checking=False,
        fast_dev_run=False,
        callback_metrics={},
        strategy=SimpleNamespace(reduce_boolean_decision=bool),
    )
    module: Any = SimpleNamespace(device=torch.device("cpu"), log_dict=found.update, log=lambda *_, **__: None)
    callback.on_validation_epoch_start(trainer, module)
    for batch in batches:
        callback.on_validation_batch_end(trainer, module, images.vectors[batch])
    callback.on_validation_epoch_end(trainer, module)
    return found


SHARES = {"uneven": [np.arange(0, 45), np.arange(44, COUNT)], "one is empty": [np.arange(COUNT), np.arange(0)]}


def measure_in_process(rank: int, folder: Path) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        found = {}
        for name, shares in SHARES.items():
            metric = updated(RetrievalMetrics(NAMES), Images(), order=shares[rank])
            found[name] = metric.compute()
            # What was kept here stays, and more can be added.
            found[f"{name}, kept"] = {"images": torch.tensor(sum(len(each) for each in metric.image_ids))}
            collection = updated(
                MetricCollection([RecallAtK(), MeanAveragePrecision(10)]), Images(), order=shares[rank]
            )
            found[f"{name}, collection"] = collection.compute()
        found["validated"] = {name: torch.tensor(value) for name, value in validated(rank, 2).items()}
        torn = RecallAtK()
        torn.update(torch.ones(2, 3 + rank), torch.tensor([0, 0]), torch.arange(2))
        try:
            torn.compute()
        except LookalikeError as error:
            found["torn"] = {str(error): torch.tensor(0)}
        torch.save(found, folder / f"{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()
