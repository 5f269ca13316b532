"""Losses, miners and samplers on real photos, beside plain loops: python -m benchmarks.grocery.

MobileNetV2 at 128 px, six epochs of the grocery set's training photos and its catalogue images, one thread a run; the
plain loops are those of benchmarks.plain_loops. Prints means and deviations over the seeds. Runs that are there are not
trained again: a run that was stopped is taken up by the same command.

Without `--unseen`, validation photos search the catalogue images of all 81 products. A plain loop has no epoch chosen
for it, so that the last epoch is what compares; the epoch that validation chose stands beside it.

With `--unseen`, 60 products are trained on, validation photos of 10 others choose the epoch, and photos of 11 more
report; both search the catalogue images of all 21. A seed also draws the products anew.
"""

import argparse
import csv
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks.entry_scripts import run_script
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message

_BASE = ("optim.backbone_lr=1e-3", "optim.freeze=4", "model.head=none")
_SUM = ("loss=infonce_and_proxies", "objective.pairs=cross_domain")

COMBINATIONS: dict[str, tuple[str, ...]] = {
    "triplet, batch-hard": ("loss=triplet", "miner=batch_hard", *_BASE),
    "MultiSimilarity, its miner": ("loss=multi_similarity", "miner=multi_similarity", *_BASE),
    "SupCon": ("loss=supcon", *_BASE),
    "ProxyAnchor": ("loss=proxy_anchor", *_BASE),
    "InfoNCE across domains, memory": ("loss=infonce", "objective.pairs=cross_domain", "objective.memory=512", *_BASE),
    "normalised softmax": ("loss=normalized_softmax", *_BASE),
    "InfoNCE across domains and normalised softmax": (*_SUM, *_BASE),
    "the same, cross-domain sampler": (*_SUM, "sampler=cross_domain", "sampler.user_share=0.75", *_BASE),
    "the same, twice the rates": (*_SUM, *_BASE, "optim.backbone_lr=2e-3", "optim.proxy_lr=2e-2"),
}
"""What differs from experiment=grocery."""

PEERS = ("multi_similarity", "triplet")

_SEEN = ("recall@1, last epoch", "recall@1", "recall@10", "mrr")
_UNSEEN = ("unseen recall@1", "unseen, validation", "seen recall@1")


def main() -> None:
    """Train and evaluate what is missing, and print the table."""
    options = _parser().parse_args()
    with exit_with_message():
        unknown = [name for name in options.only if name not in {*COMBINATIONS, *_peer_names()}]
        if unknown:
            raise ConfigError(f"--only {', '.join(unknown)}: none of {', '.join([*COMBINATIONS, *_peer_names()])}")
        names = options.only or [*_peer_names(), *COMBINATIONS]
        with ThreadPoolExecutor(options.jobs) as pool, Progress() as progress:
            task = progress.add_task("training and evaluating", total=len(names) * options.seeds)
            todo = [(name, seed) for seed in range(options.seeds) for name in names]
            for _ in pool.map(lambda one: _run(one[0], one[1], options), todo):
                progress.advance(task)
        columns = _UNSEEN if options.unseen else _SEEN
        print(f"| | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
        for name in names:
            print(f"| {name} | {' | '.join(_cells(name, options))} |")


def _cells(name: str, options: argparse.Namespace) -> list[str]:
    figures = np.array([_figures(name, seed, options) for seed in range(options.seeds)])
    deviations = figures.std(axis=0, ddof=1) if len(figures) > 1 else np.full(figures.shape[1], np.nan)
    return [f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in zip(figures.mean(axis=0), deviations, strict=True)]


def _figures(name: str, seed: int, options: argparse.Namespace) -> list[float]:
    folder = _folder(name, seed, options)
    if options.unseen:
        parts = ("test", "val", "seen") if name in COMBINATIONS else (".", "val", "seen")
        return [_metrics(folder / part)["recall@1"] for part in parts]
    metrics = _metrics(folder)
    last = _last_validation(folder) if name in COMBINATIONS else metrics["recall@1"]
    return [last, metrics["recall@1"], metrics["recall@10"], metrics["mrr"]]


def _metrics(folder: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    return values


def _last_validation(folder: Path) -> float:
    with (folder / "log" / "metrics.csv").open(newline="") as file:
        return [float(row["val/recall@1"]) for row in csv.DictReader(file) if row.get("val/recall@1")][-1]


def _run(name: str, seed: int, options: argparse.Namespace) -> None:
    """Train and evaluate, unless it is done."""
    folder = _folder(name, seed, options)
    if name not in COMBINATIONS:
        if not (folder / "metrics.json").exists():
            loss = PEERS[_peer_names().index(name)]
            unseen = ("--unseen", "--split-seed", str(seed)) if options.unseen else ()
            run_script(
                *("-m", "benchmarks.plain_loops", "--loss", loss, "--seed", str(seed), "--threads", "1"),
                *("--output", str(folder), *unseen),
            )
        return
    if not (folder / "metrics.json").exists():
        protocol = ("data=grocery_unseen", f"data.split_seed={seed}") if options.unseen else ()
        run_script(
            *("train.py", "experiment=grocery", *protocol, *COMBINATIONS[name], f"seed={seed}"),
            *("trainer.patience=100", f"name={folder.parent.name}", f"hydra.run.dir={folder}"),
        )
    for part, asked in {"test": "split=test", "val": "split=val", "seen": "data.count.ask=seen"}.items():
        if options.unseen and not (folder / part / "metrics.json").exists():
            run_script(
                *(
                    "evaluate.py",
                    f"checkpoint={folder / 'checkpoints' / 'best.ckpt'}",
                    f"output={folder / part}",
                    asked,
                ),
                *("report=false", "pictures=0", "resamples=0"),
            )


def _folder(name: str, seed: int, options: argparse.Namespace) -> Path:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    return Path(options.output) / ("unseen" if options.unseen else "seen") / plain / f"seed{seed}"


def _peer_names() -> list[str]:
    return [f"plain loop, {loss}" for loss in PEERS]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="outputs/grocery_table", help="folder of the runs")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="lines of the table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--unseen", action="store_true", help="search among products that were not trained on")
    return parser


if __name__ == "__main__":
    main()
