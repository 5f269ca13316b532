"""Measure where the time goes between an image's file and the encoder: images per second of each stage.

python -m src.datamodules.benchmark --checkpoint PATH measures with the catalogue, the preprocessing and the network of
a checkpoint. A checkpoint of an untrained network is sufficient: python train.py ... trainer.epochs=0.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from src.catalog.catalogue import open_catalogue
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.contracts.settings import DataSettings, complete_data
from src.datamodules.loading_stages import Stage, bottleneck, first_epoch_stages, training_stages
from src.datamodules.pixels import iterate_pixels
from src.datamodules.training_set import TrainingSet, training_set
from src.models.checkpoint import load_encoder

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table and the slowest stage."""
    parser = argparse.ArgumentParser(prog="python -m src.datamodules.benchmark", description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="names catalogue, preprocessing and network")
    parser.add_argument("--data-root", help="the catalogue's folder, if it isn't where the checkpoint says")
    parser.add_argument(
        "--images", type=int, default=1024, help="training images that are measured with (default 1024)"
    )
    parser.add_argument("--p", type=int, help="items in a batch, if not the checkpoint's")
    parser.add_argument("--k", type=int, help="images of each, if not the checkpoint's")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options = parser.parse_args(arguments)
    with exit_with_message():
        _run(options)


def _run(options: argparse.Namespace) -> None:
    encoder, spec, card = load_encoder(options.checkpoint)
    data = complete_data(DataSettings(root=options.data_root) if options.data_root else DataSettings(), card["data"])
    p, k = options.p or data.p, options.k or data.k
    catalogue = open_catalogue(data)
    images = _some(training_set(catalogue), options.images)
    if images.item_count < p or len(images) < p * k:
        raise ConfigError(
            f"`--images {options.images}`: {len(images)} training images of {images.item_count} items are too few for "
            f"a batch of {p} x {k}; raise it, or lower --p and --k"
        )
    cuda = torch.cuda.is_available() if options.device == "auto" else options.device == "cuda"
    device = torch.device("cuda" if cuda else "cpu")
    stages = list(first_epoch_stages(catalogue, images.rows, spec))
    pixels = np.concatenate(list(iterate_pixels(catalogue, images.rows, spec, batch=64)))
    folder = Path(data.cache)
    folder.mkdir(parents=True, exist_ok=True)
    stages += training_stages(
        pixels, images, encoder, p=p, k=k, augmentation=data.augmentation, device=device, folder=folder
    )
    title = f"{card['name']}: {len(images)} images at {spec.size} px, batches of {p} x {k}, {device.type}"
    _print(stages, title)


def _some(images: TrainingSet, count: int) -> TrainingSet:
    """Draw `count` images; their items are numbered from 0."""
    drawn = np.random.default_rng(0).permutation(len(images))[:count]
    columns = {name: getattr(images, name)[drawn] for name in ("rows", "parents", "categories", "domains")}
    return replace(images, items=np.unique(images.items[drawn], return_inverse=True)[1], **columns)


def _print(stages: list[Stage], title: str) -> None:
    table = Table(title=title)
    for name in ("stage", "images/s", "ms/image"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for each_epoch, heading in ((False, "once, for the pixel cache"), (True, "each epoch")):
        table.add_row(f"[bold]{heading}[/bold]")
        for stage in stages:
            if stage.each_epoch == each_epoch:
                rate = stage.images_per_second
                table.add_row(f"  {stage.name}", f"{rate:,.0f}", f"{1000 / rate:.3f}")
    Console().print(table)
    slowest = bottleneck(stages, each_epoch=True)
    others = [s for s in stages if s.each_epoch and s is not slowest and not s.name.endswith("cold")]
    following = min(others, key=lambda stage: stage.images_per_second)
    ratio = following.images_per_second / slowest.images_per_second
    print(f"bottleneck: {slowest.name}; the next, {following.name}, is {ratio:.1f} times as fast")
    cold = next(stage for stage in stages if stage.each_epoch and stage.name.endswith("cold"))
    if cold.images_per_second < slowest.images_per_second:
        described = f"{cold.images_per_second:,.0f} images/s"
        print(f"  where the cache does not fit into memory, {cold.name} is slower: {described}")


if __name__ == "__main__":
    main()
