"""Steps per second of `train.py` beside a plain pytorch-metric-learning loop: python -m benchmarks.training_speed.

Both train the same encoder with random weights on the same cached pixels of the built-in shop, with the same loss and
miner, AdamW, batches of 16 items x 4 images, float32, no augmentation, one thread. Three contenders take turns, each
round in another order and each turn in a process of its own:

- ours: `train.train` itself, hence Lightning's trainer with all callbacks, our sampler, the thread that fetches ahead,
  gradient clipping, schedule, the check for numbers that are not finite, diagnostics, CSV log and progress bar;
- plain: `MPerClassSampler`, torch's DataLoader over single images, forward, loss, backward, `AdamW.step` and
  `loss.item()`, and none of the above;
- plain with our memory settings: the same loop, convolutions' weights with channels last, and freed memory kept
  (`src/models/allocator.py`), so that what these two bring can be told from the rest.

What is timed: whole steps, from the end of the last step of the warm-up to the end of the last one, so that fetching a
batch and each tenth step's log are in it. What is not: starting, reading the catalogue, validation, checkpoints (all
steps lie in one epoch, which a run of ours ends before it validates, and before `checkpoint_every`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning
import numpy as np
import torch
from hydra.utils import instantiate
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.catalog.catalogue import open_catalogue
from src.commandline import composed, make
from src.contracts.errors import LookalikeError
from src.contracts.exit_codes import exit_with_message
from src.contracts.settings import TrainSettings
from src.datamodules.pixel_cache import open_pixel_cache
from src.datamodules.training_set import training_set
from src.models.allocator import keep_freed_memory
from src.models.warm_start import initial_encoder
from src.training import run
from src.training.trainer import build_trainer

__all__ = ["compared", "main"]

OURS, PLAIN, TUNED = "ours", "plain", "plain with our memory settings"
_CONTENDERS = (OURS, PLAIN, TUNED)
_DEMANDED = 0.97
_WARM = 5
_MARK = "SECONDS "


class _Enough(Exception):  # noqa: N818  # no error
    """All steps are timed."""


class Clock(lightning.Callback):
    """Times the steps after the warm-up, and ends the training with them."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._begin = 0.0
        self.seconds = 0.0

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """A step is done."""
        if trainer.global_step == _WARM:
            self._begin = time.perf_counter()
        if trainer.global_step == _WARM + self._steps:
            self.seconds = time.perf_counter() - self._begin
            raise _Enough


class _Images(Dataset[tuple[Tensor, int]]):
    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self._pixels, self._labels = pixels, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self._pixels[index]), int(self._labels[index])


def ours(settings: TrainSettings, folder: Path, *, steps: int) -> float:
    """Seconds of so many steps of `train.py`."""
    clock = Clock(steps)

    def with_clock(*, callbacks: Sequence[lightning.Callback], **arguments: Any) -> lightning.Trainer:
        return build_trainer(callbacks=[*callbacks, clock], **arguments)

    try:
        with patch.object(run, "build_trainer", with_clock):
            run.train(settings, folder, make=make)
    except _Enough:
        return clock.seconds
    raise LookalikeError(f"the shop has fewer than {_WARM + steps} batches; raise --parents or lower --steps")


def plain(settings: TrainSettings, *, steps: int, tuned: bool) -> float:
    """Seconds of so many steps of a plain loop."""
    torch.manual_seed(settings.seed)
    np.random.seed(settings.seed)  # MPerClassSampler draws from it
    if tuned:
        keep_freed_memory()
    catalogue, data = open_catalogue(settings.data), settings.data
    images = training_set(catalogue)
    pixels = open_pixel_cache(catalogue, images.rows, settings.preprocessing, Path(data.cache))
    encoder = initial_encoder(spec=settings.preprocessing, **asdict(settings.model)).train()
    if tuned:
        encoder = encoder.to(memory_format=torch.channels_last)
    loss_function = instantiate(settings.loss)
    miner = instantiate(settings.miner)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.optim.lr, weight_decay=settings.optim.weight_decay)
    batch = data.p * data.k
    sampler = MPerClassSampler(images.items, m=data.k, batch_size=batch, length_before_new_iter=batch * (_WARM + steps))
    loader = DataLoader(_Images(pixels, images.items), batch_size=batch, sampler=sampler, drop_last=True)
    losses, begin = [], 0.0
    for number, (inputs, labels) in enumerate(loader, start=1):
        embeddings = encoder(inputs)
        loss = loss_function(embeddings, labels, miner(embeddings, labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if number == _WARM:
            begin = time.perf_counter()
    return time.perf_counter() - begin


def compared(seconds: Mapping[str, Sequence[float]], *, steps: int) -> str:
    """Steps per second as Markdown, and our rate over each loop's, round by round.

    Args:
        seconds: contender -> seconds of its steps in each round.
        steps: timed in a round.
    """
    lines = ["| | steps/s, median | least | most | ours is quicker by: median | least | most |"]
    lines.append(f"| --- |{' ---: |' * 6}")
    for name, times in seconds.items():
        rates = sorted(steps / one for one in times)
        figures = [f"{one:.3f}" for one in (statistics.median(rates), rates[0], rates[-1])]
        ratios = sorted(theirs / mine for theirs, mine in zip(times, seconds[OURS], strict=True))
        if name != OURS:
            figures += [f"{one:.3f}" for one in (statistics.median(ratios), ratios[0], ratios[-1])]
        lines.append(f"| {' | '.join([name, *figures, *[''] * (6 - len(figures))])} |")
    ratio = statistics.median(theirs / mine for theirs, mine in zip(seconds[PLAIN], seconds[OURS], strict=True))
    verdict = "as demanded" if ratio >= _DEMANDED else "TOO SLOW"
    lines.append(f"\nours / plain {ratio:.3f}, demanded {_DEMANDED}: {verdict}")
    return "\n".join(lines)


def _settings(arguments: argparse.Namespace) -> TrainSettings:
    folder = arguments.output
    network = ["model=resnet10_small"] if arguments.backbone == "resnet10t" else ["model=mobilenetv2_100"]
    pair = [f"loss={arguments.loss}", f"miner={'batch_hard' if arguments.loss == 'triplet' else 'multi_similarity'}"]
    overrides = [
        *["data=shop", f"data.root={folder}/shop", f"data.cache={folder}/pixels", "data.augmentation=none"],
        *[f"data.shop.parents={arguments.parents}", "data.shop.sessions=10", "data.leakage=off", "data.p=16"],
        *["data.k=4", *network, "model.pretrained=false", *pair, "preprocessing=half_224"],
        *[f"preprocessing.size={arguments.size}", "preprocessing.resize=squash", "trainer.accelerator=cpu"],
        *["trainer.epochs=1", f"hydra.runtime.output_dir={folder}/run"],
    ]
    return composed(TrainSettings, "train", *overrides)


def _turn(name: str) -> float:
    """A contender's seconds, in a process of its own, by the same command line and one more argument."""
    done = subprocess.run(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "benchmarks.training_speed", *sys.argv[1:], "--inside", name],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=False,
    )
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(_MARK):
            return float(json.loads(line.removeprefix(_MARK)))
    raise LookalikeError(f"{name} ended with {done.returncode}:\n{done.stdout[-500:]}{done.stderr[-2000:]}")


def main() -> None:
    """Let the contenders take turns, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_speed", description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", choices=("mobilenetv2_100", "resnet10t"), default="mobilenetv2_100")
    parser.add_argument("--loss", choices=("triplet", "multi_similarity"), default="triplet")
    parser.add_argument("--size", type=int, default=128, help="side of the images, in pixels")
    parser.add_argument("--steps", type=int, default=40, help="timed in each turn, a multiple of 10")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parents", type=int, default=300, help="products of the shop: about 11 images of each")
    parser.add_argument("--output", type=Path, default=Path("outputs/training_speed"), help="shop and pixel cache")
    parser.add_argument("--inside", choices=_CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.output = arguments.output.resolve()
    with exit_with_message():
        settings = _settings(arguments)
        if arguments.inside:
            torch.set_num_threads(1)
            if arguments.inside == OURS:
                seconds = ours(settings, arguments.output / "run", steps=arguments.steps)
            else:
                seconds = plain(settings, steps=arguments.steps, tuned=arguments.inside == TUNED)
            print(f"\n{_MARK}{seconds}")
            return
        catalogue = open_catalogue(settings.data)
        open_pixel_cache(catalogue, training_set(catalogue).rows, settings.preprocessing, Path(settings.data.cache))
        found: dict[str, list[float]] = {name: [] for name in _CONTENDERS}
        for number in range(arguments.rounds):
            for turn in range(len(_CONTENDERS)):
                name = _CONTENDERS[(number + turn) % len(_CONTENDERS)]
                found[name].append(_turn(name))
                print(f"round {number + 1}: {name} {arguments.steps / found[name][-1]:.3f} steps/s", flush=True)
        about = f"{arguments.backbone}, {arguments.size} px, batch 64, {arguments.loss}, {arguments.rounds} rounds"
        print(f"\n{about} of {arguments.steps} steps, one thread\n\n{compared(found, steps=arguments.steps)}")


if __name__ == "__main__":
    main()
