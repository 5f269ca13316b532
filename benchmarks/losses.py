"""Milliseconds that a step spends in loss and miner, forward and backward: python -m benchmarks.losses."""

import argparse
import time
from dataclasses import asdict

import numpy as np
import torch
from hydra.utils import instantiate
from rich.progress import track

from src.commandline import composed
from src.contracts.settings import TrainSettings
from src.datamodules.training_set import Facts, TrainingSet
from src.losses.build import build_objective

_MEMORY = "objective.memory=4096"
_CROSS = "objective.pairs=cross_domain"
_OURS = [
    ["loss=triplet", "miner=batch_hard"],
    ["loss=triplet", "miner=semi_hard"],
    ["loss=multi_similarity", "miner=multi_similarity"],
    ["loss=multi_similarity", "miner=multi_similarity", _CROSS],
    ["loss=multi_similarity", "miner=multi_similarity", _MEMORY],
    ["loss=infonce", "miner=none"],
    ["loss=infonce", "miner=none", "loss._target_=pytorch_metric_learning.losses.NTXentLoss"],
    ["loss=infonce", "miner=none", _CROSS],
    ["loss=infonce", "miner=none", _MEMORY],
    ["loss=infonce", "miner=category_hard"],
    ["loss=supcon", "miner=none"],
    ["loss=circle", "miner=none"],
    ["loss=recall_at_k", "miner=none"],
    ["loss=smoothap", "miner=none"],
    ["loss=fastap", "miner=none"],
    ["loss=proxy_anchor", "miner=none"],
]


def main() -> None:
    """Print a Markdown table, the fastest of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    lines = []
    for overrides in track(_OURS, transient=True):
        figures = [_milliseconds(overrides, batch, arguments) for batch in arguments.batches]
        lines.append(f"| `{' '.join(overrides)}` | {' | '.join(f'{figure:.1f}' for figure in figures)} |")
    print(
        f"| {arguments.device}, {arguments.dim} dimensions | {' | '.join(f'{n} images' for n in arguments.batches)} |"
    )
    print(f"| --- |{' ---: |' * len(arguments.batches)}")
    print("\n".join(lines))


def _milliseconds(overrides: list[str], batch: int, arguments: argparse.Namespace) -> float:
    """Of one step over a batch of 4 images an item, two items a parent, two parents a category, domains in turn."""
    number = np.arange(batch)
    images = TrainingSet(number, number // 4, number // 8, number // 16, number % 2)
    output = "hydra.runtime.output_dir=unused"
    settings = composed(TrainSettings, "train", "data=shop", f"data.p={batch // 4}", "data.k=4", output, *overrides)
    objective = build_objective(
        settings.loss,
        settings.miner,
        make=instantiate,
        images=images,
        dim=arguments.dim,
        **asdict(settings.objective),
    ).to(arguments.device)
    columns = images.items, number, images.parents, images.categories, images.domains
    facts = Facts(*(torch.from_numpy(column).to(arguments.device) for column in columns))
    raw = torch.randn(batch, arguments.dim, device=arguments.device, requires_grad=True)
    best = float("inf")
    # As many rounds as it takes to fill the memory come first.
    for turn in range(arguments.rounds + 1 + settings.objective.memory // batch):
        facts = facts._replace(images=facts.images + batch)
        _wait(arguments.device)
        start = time.perf_counter()
        objective(torch.nn.functional.normalize(raw), facts).backward()
        _wait(arguments.device)
        seconds = time.perf_counter() - start
        best = min(best, seconds) if turn > settings.objective.memory // batch else best
        raw.grad = None
    return 1000 * best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
