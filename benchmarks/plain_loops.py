"""What we are compared with: plain pytorch-metric-learning loops, as somebody writes them without us.

    python -m benchmarks.plain_loops --loss multi_similarity|triplet|supcon|proxy_anchor --seed N --output DIR

Each is the loop of the library's documentation: a timm backbone with a linear head, torchvision's augmentation,
`MPerClassSampler`, the library's loss and miner, AdamW, a cosine schedule. Rows, weights, pixels at evaluation and
metrics are those of `experiment=grocery`; of ours nothing takes part in the training. The last epoch's network is
evaluated; no epoch is chosen. `--unseen` trains on the 60 products of `data=grocery_unseen`, and evaluates the others'
`test` (DIR) and `val` (DIR/val), and new photos of the 60 (DIR/seen).

DIR gets embeddings.parquet (what `evaluate.py embeddings=` reads), metrics.json and queries.parquet (what
`python -m src.eval.compare` reads).
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from src.catalog.catalogue import Catalogue, open_catalogue
from src.commandline import composed
from src.contracts.atomic_file import atomic_file
from src.contracts.exit_codes import exit_with_message
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import TrainSettings
from src.datamodules.pixel_cache import open_pixel_cache
from src.eval.confidence import confidence_metrics
from src.eval.evaluation import evaluate_embedded, print_metrics, write_metrics
from src.eval.per_query import write_queries
from src.eval.roles import split_rows
from src.eval.vectors_file import read_vectors

LOSSES = ("multi_similarity", "triplet", "supcon", "proxy_anchor")

_DIM = 256
_BATCH, _PER_CLASS = 64, 4
_PROXY_LR, _WEIGHT_DECAY = 1e-2, 1e-4
_STORED = 224
"""Side of the photos that crops are taken from: their own, so that a crop has its detail."""


class Photos(Dataset[tuple[Tensor, int]]):
    """Photos and their labels; decoded before, so that decoding is not measured."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, transform: v2.Transform) -> None:
        self._pixels, self._labels, self._transform = pixels, labels, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(torch.from_numpy(self._pixels[index]).permute(2, 0, 1)), int(self._labels[index])


class Network(nn.Module):
    """A backbone, a linear head, L2."""

    def __init__(self, weights: str, *, pad_type: str) -> None:
        super().__init__()
        backbone: Any = timm.create_model("mobilenetv2_100", pad_type=pad_type, checkpoint_path=weights)
        backbone.reset_classifier(0)
        self.backbone = backbone
        self.head = nn.Linear(backbone.num_features, _DIM)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images to embeddings of norm 1."""
        return nn.functional.normalize(self.head(self.backbone(images)))


def loss_and_miner(name: str, classes: int) -> tuple[nn.Module, nn.Module | None]:
    """The library's defaults, but for what is said in the issue and in the losses' papers."""
    if name == "multi_similarity":
        return losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()
    if name == "triplet":
        return losses.TripletMarginLoss(margin=0.1), miners.BatchHardMiner()
    if name == "supcon":
        return losses.SupConLoss(), None
    return losses.ProxyAnchorLoss(classes, _DIM), None


def augmentation(spec: PreprocessingSpec) -> v2.Transform:
    """uint8 (3, 224, 224) to normalised float32 (3, size, size)."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(spec.size, scale=(0.4, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.3, 0.3, 0.3, 0.05),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(spec.mean, spec.std),
        ]
    )


def train(network: Network, photos: Photos, labels: np.ndarray, arguments: argparse.Namespace) -> float:
    """Train in place; the steps per second."""
    epochs, steps = arguments.epochs, arguments.steps
    loss_function, miner = loss_and_miner(arguments.loss, int(labels.max()) + 1)
    sampler = MPerClassSampler(labels, m=_PER_CLASS, batch_size=_BATCH, length_before_new_iter=len(labels))
    loader = DataLoader(photos, batch_size=_BATCH, sampler=sampler, drop_last=True)
    groups = [
        {"params": network.backbone.parameters(), "lr": arguments.backbone_lr},
        {"params": network.head.parameters(), "lr": arguments.head_lr},
    ]
    if proxies := list(loss_function.parameters()):
        groups.append({"params": proxies, "lr": _PROXY_LR})
    optimizer = torch.optim.AdamW(groups, weight_decay=_WEIGHT_DECAY)
    total = epochs * len(loader)
    warm = round(arguments.warmup * total)
    scheduler: Any = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - warm)
    if warm:
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, 1.0, warm)
        scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, scheduler], [warm])
    network.train()
    done, start = 0, time.perf_counter()
    for epoch in range(epochs):
        values = []
        for images, targets in loader:
            embeddings = network(images.contiguous(memory_format=torch.channels_last))
            value = loss_function(embeddings, targets, miner(embeddings, targets) if miner else None)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            scheduler.step()
            values.append(value.item())
            done += 1
            if done == steps:
                break
        print(
            f"epoch {epoch + 1}/{epochs}: loss {np.mean(values):.4f}, {time.perf_counter() - start:.0f} s", flush=True
        )
        if done == steps:
            break
    return done / (time.perf_counter() - start)


def embed(network: Network, pixels: np.ndarray, spec: PreprocessingSpec) -> np.ndarray:
    """uint8 (images, size, size, 3) to float32 (images, 256)."""
    transform = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(spec.mean, spec.std)])
    network.eval()
    with torch.inference_mode():
        parts = [
            network(transform(torch.from_numpy(pixels[at : at + 128]).permute(0, 3, 1, 2))).numpy()
            for at in range(0, len(pixels), 128)
        ]
    return np.concatenate(parts)


def write_embeddings(catalogue: Catalogue, rows: np.ndarray, vectors: np.ndarray, path: Path) -> None:
    """The file that `evaluate.py embeddings=` reads, whole or not at all."""
    table = catalogue.items.take(pa.array(rows))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    with atomic_file(path) as temporary:
        pq.write_table(table.append_column("vector", flat), temporary)


def run(arguments: argparse.Namespace) -> None:
    """Train, embed, evaluate."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    np.random.seed(arguments.seed)  # MPerClassSampler draws from it
    settings = _settings(arguments)
    spec, cache = settings.preprocessing, Path(settings.data.cache)
    catalogue = open_catalogue(settings.data, need_gallery=True)
    rows = catalogue.train_rows()
    _, labels = np.unique(catalogue.column("item_id", rows), return_inverse=True)
    larger = PreprocessingSpec(size=_STORED, resize=spec.resize, mean=spec.mean, std=spec.std)
    stored = np.array(open_pixel_cache(catalogue, rows, larger, cache))
    network = Network(str(settings.model.weights), pad_type=settings.model.backbone_kwargs["pad_type"])
    network = network.to(memory_format=torch.channels_last)
    print(f"{arguments.loss}: {len(rows)} images of {labels.max() + 1} products, {arguments.threads} thread(s)")
    photos = Photos(stored, labels, augmentation(spec))
    rate = train(network, photos, labels, arguments)

    name = f"plain {arguments.loss}"
    rates = f"rates {arguments.backbone_lr:g} and {arguments.head_lr:g}, warm-up {arguments.warmup:g}"
    method = f"{name}, {arguments.epochs} epochs, {arguments.steps or 'all'} steps, {rates}"
    # The split that evaluate.py would take goes into the folder itself, further ones below it.
    report = catalogue.test_split()
    asked = [(report, catalogue, arguments.output)]
    if arguments.unseen:
        seen = _settings(arguments, "data.count.ask=seen").data
        asked += [("val", catalogue, arguments.output / "val")]
        asked += [("val", open_catalogue(seen, need_gallery=True), arguments.output / "seen")]
    for split, asking, folder in asked:
        searched = np.union1d(*split_rows(asking, split, "given"))
        vectors = embed(network, np.array(open_pixel_cache(asking, searched, spec, cache)), spec)
        folder.mkdir(parents=True, exist_ok=True)
        write_embeddings(asking, searched, vectors, folder / "embeddings.parquet")
        evaluation = evaluate_embedded(*read_vectors(folder / "embeddings.parquet"))
        about = {"name": name, "split": split, "method": method, "seed": arguments.seed}
        write_queries(evaluation.per_query, folder / "queries.parquet", **about)
        metrics = evaluation.metrics | confidence_metrics(evaluation)
        write_metrics(metrics, folder / "metrics.json")
        print_metrics(metrics, f"{name}, seed {arguments.seed}: {folder}, {split}")
    print(f"{rate:.3f} steps/s of {_BATCH} images; metrics: {arguments.output / 'metrics.json'}")


def _settings(arguments: argparse.Namespace, *overrides: str) -> TrainSettings:
    protocol = ["data=grocery_unseen", f"data.split_seed={arguments.split_seed}"] if arguments.unseen else []
    runtime = f"hydra.runtime.output_dir={arguments.output}"
    return composed(TrainSettings, "train", "experiment=grocery", *protocol, *overrides, runtime)


def main() -> None:
    """One loop, one seed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plain_loops", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--loss", choices=LOSSES, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--unseen", action="store_true", help="train on some products, search among others")
    parser.add_argument("--split-seed", type=int, default=0, help="draws the products of --unseen")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--backbone-lr", type=float, default=1e-4)
    parser.add_argument("--head-lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=float, default=0.0, help="share of the steps in which the rates rise")
    parser.add_argument("--steps", type=int, help="stop after so many, to try it")
    with exit_with_message():
        run(parser.parse_args())


if __name__ == "__main__":
    main()
