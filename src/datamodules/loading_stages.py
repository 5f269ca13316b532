"""Measure the speed of each stage from an image's file to the encoder's step."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec, decode, resize
from src.datamodules.augmentation import STRENGTHS, augment
from src.datamodules.pixels import iterate_pixels
from src.datamodules.pk_sampler import PKSampler
from src.datamodules.training_set import TrainingSet

__all__ = ["Stage", "bottleneck", "first_epoch_stages", "training_stages"]


@dataclass(frozen=True)
class Stage:
    """One stage and its speed.

    Attributes:
        name: of the stage.
        images_per_second: measured alone, without other stages.
        each_epoch: whether the stage runs in each epoch, or only in the first.
    """

    name: str
    images_per_second: float
    each_epoch: bool


def first_epoch_stages(catalogue: Catalogue, rows: np.ndarray, spec: PreprocessingSpec) -> Iterator[Stage]:
    """Measure the stages of making the pixel cache: reading, decoding, resizing, and all three in threads.

    Args:
        catalogue: where the images are.
        rows: int64 of shape (images,).
        spec: the preprocessing.
    """
    count = len(rows)
    for path in (catalogue.root / image for image in catalogue.column("image", rows)):
        _drop_pages(path)
    start = time.perf_counter()
    files = [catalogue.image_bytes(int(row)) for row in rows]
    yield Stage("read files, cold", count / (time.perf_counter() - start), False)
    yield Stage("read files, warm", _rate(lambda: [catalogue.image_bytes(int(row)) for row in rows], count), False)
    yield Stage("decode, one thread", _rate(lambda: [decode(file, spec=spec) for file in files], count), False)
    pictures = [decode(file, spec=spec) for file in files]
    yield Stage("resize, one thread", _rate(lambda: [resize(picture, spec) for picture in pictures], count), False)

    def all_of_it() -> None:
        for _ in iterate_pixels(catalogue, rows, spec, batch=64):
            pass

    yield Stage(f"read, decode, resize, {os.cpu_count()} threads", _rate(all_of_it, count), False)


def training_stages(
    pixels: np.ndarray,
    images: TrainingSet,
    encoder: nn.Module,
    *,
    p: int,
    k: int,
    augmentation: str,
    device: torch.device,
    folder: Path,
) -> Iterator[Stage]:
    """Measure the stages of each batch: sampling, reading the cache, copying, augmentation, the encoder's step.

    Args:
        pixels: uint8 of shape (images, size, size, 3).
        images: the training set, in the same order.
        encoder: from pixels to embeddings.
        p: items in a batch.
        k: images of each.
        augmentation: `none`, `light` or `strong`.
        device: the device that trains.
        folder: a folder on the cache's disk.
    """
    batch = p * k
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / "pixels.npy"

        def write() -> None:
            mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=pixels.shape)
            mapped[:] = pixels
            mapped.flush()
            del mapped

        yield Stage("write cache", _rate(write, len(pixels), least=1), False)
        sampler = PKSampler(images, p=p, k=k, seed=0)
        batches = list(sampler)
        yield Stage("draw batches", _rate(lambda: list(sampler), len(batches) * batch), True)

        def read_all(cache: np.ndarray) -> None:
            for numbers in batches:
                cache[numbers]

        cache = np.load(path, mmap_mode="r")
        taken = len(batches) * batch
        _drop_pages(path)
        start = time.perf_counter()
        read_all(cache)
        yield Stage("cache to batch, cold", taken / (time.perf_counter() - start), True)
        yield Stage("cache to batch, warm", _rate(lambda: read_all(cache), taken), True)
        one = torch.from_numpy(cache[batches[0]])
    if device.type == "cuda":
        pinned = one.pin_memory()
        yield Stage("copy to device, pinned", _rate(lambda: pinned.to(device, non_blocking=True), batch, device), True)
    one = one.to(device)
    if augmentation in STRENGTHS:
        generator, strength = torch.Generator().manual_seed(0), STRENGTHS[augmentation]
        rate = _rate(lambda: augment(one, strength, generator), batch, device)
        yield Stage(f"augment ({augmentation})", rate, True)
        one = augment(one, strength, generator)
    encoder = encoder.to(device).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad()
        # Any loss does: it takes a thousandth of the encoder's time.
        encoder(one).square().mean().backward()
        optimizer.step()

    yield Stage("encoder: forward, backward, AdamW", _rate(step, batch, device), True)


def bottleneck(stages: list[Stage], *, each_epoch: bool) -> Stage:
    """The slowest stage of those that run once, or of those that run in each epoch.

    The cold read of the cache is left out of the latter: after the first epoch its pages are usually in memory.
    """
    own = [stage for stage in stages if stage.each_epoch == each_epoch]
    counted = [stage for stage in own if not (each_epoch and stage.name.endswith("cold"))]
    return min(counted, key=lambda stage: stage.images_per_second)


def _rate(work: Callable[[], object], images: int, device: torch.device | None = None, *, least: int = 3) -> float:
    """Images a second in the fastest of several rounds: at least `least`, and for at least half a second."""
    times: list[float] = []
    while len(times) < least or sum(times) < 0.5:
        start = time.perf_counter()
        work()
        if device is not None and device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return images / min(times)


def _drop_pages(path: Path) -> None:
    """Drop a file's pages from the page cache, so that the next read comes from the disk."""
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:  # a remote image, or a file system without a page cache
        return
