"""Our training on real photos, beside plain loops: python -m benchmarks.grocery.

MobileNetV2 at 128 px, six epochs of the grocery set's training photos and its catalogue images, one thread a run; the
plain loops are those of benchmarks.plain_loops, at the best of the rates that were tried on validation. Prints means
and deviations over the seeds. Runs that are there are not trained again: a run that was stopped is taken up by the same
command.

Without `--unseen`, losses, miners and samplers: validation photos search the catalogue images of all 81 products. A
plain loop has no epoch chosen for it, so that the last epoch is what compares; the epoch that validation chose stands
beside it.

With `--unseen`, the parts of `experiment=grocery`, each left out in turn, and two that it lacks: 60 products are
trained on, validation photos of 10 others choose the epoch, and photos of 11 more report; both search the catalogue
images of all 21. A seed also draws the products anew.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.entry_scripts import run_all, run_script
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message

_ALL = ("objective.pairs=all", "optim.interpolate=[]")
_SUM = ("optim.interpolate=[]",)

COMBINATIONS: dict[str, tuple[str, ...]] = {
    "triplet, batch-hard": ("loss=triplet", "miner=batch_hard", *_ALL),
    "MultiSimilarity, its miner": ("loss=multi_similarity", "miner=multi_similarity", *_ALL),
    "SupCon": ("loss=supcon", *_ALL),
    "ProxyAnchor": ("loss=proxy_anchor", *_ALL),
    "normalised softmax": ("loss=normalized_softmax", *_ALL),
    "InfoNCE across domains and normalised softmax": _SUM,
    "the same, cross-domain sampler": (*_SUM, "sampler=cross_domain", "sampler.user_share=0.75"),
    "the same, averaged with its start": (),
}
"""What differs from experiment=grocery."""

RECIPE = "the recipe"

PARTS: dict[str, tuple[str, ...]] = {
    "no training": ("trainer.epochs=0", "optim.interpolate=[]"),
    RECIPE: (),
    "without averaging with its start": ("optim.interpolate=[]",),
    "without frozen stages": ("optim.freeze=0",),
    "with a linear head of 256 numbers": ("model.head=linear", "model.embedding_dim=256", "optim.interpolate=[]"),
    "without the restriction to pairs across domains": ("objective.pairs=all",),
    "without proxies": ("loss=infonce",),
    "without pairs": ("loss=normalized_softmax", "objective.pairs=all"),
    "with light augmentation": ("data.augmentation=light",),
    "with L2-SP": ("optim.l2_sp=0.01",),
    "with the start's relations kept": ("optim.relations=1",),
}
"""What differs from experiment=grocery."""

_RATES = ("--backbone-lr", "1e-3", "--head-lr", "1e-3")

PEERS: dict[str, tuple[str, ...]] = {
    "plain loop, multi_similarity": ("--loss", "multi_similarity", *_RATES),
    "plain loop, triplet": ("--loss", "triplet", *_RATES),
}
"""Loss and rates: the best of those that were tried with seed 0 on validation."""

_SEEN = ("recall@1, last epoch", "recall@1", "recall@10", "mrr")
_UNSEEN = ("unseen recall@1", "unseen, validation", "seen recall@1")
"""Of photos of the 11 products that report, the 10 that choose, the 60 that were trained on."""


def main() -> None:
    """Train and evaluate what is missing, and print the table."""
    options = _parser().parse_args()
    with exit_with_message():
        lines = [*PEERS, *(PARTS if options.unseen else COMBINATIONS)]
        if unknown := [name for name in options.only if name not in lines]:
            raise ConfigError(f"--only {', '.join(unknown)}: none of {', '.join(lines)}")
        names = options.only or lines
        todo = [partial(_run, name, seed, options) for seed in range(options.seeds) for name in names]
        run_all(todo, jobs=options.jobs)
        print(_table(names, options))


def _table(names: Sequence[str], options: argparse.Namespace) -> str:
    figures = {name: np.array([_figures(name, seed, options) for seed in range(options.seeds)]) for name in names}
    columns = _UNSEEN if options.unseen else _SEEN
    if RECIPE in figures:
        # Of the same seed and so of the same products: what differs between divisions cancels.
        recipe, columns = figures[RECIPE], (*columns, *(f"{name}, less the recipe's" for name in columns))
        figures = {name: np.hstack([found, found - recipe]) for name, found in figures.items()}
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    return "\n".join(lines + [f"| {name} | {' | '.join(_cells(found))} |" for name, found in figures.items()])


def _cells(figures: np.ndarray) -> list[str]:
    deviations = figures.std(axis=0, ddof=1) if len(figures) > 1 else np.full(figures.shape[1], np.nan)
    return [f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in zip(figures.mean(axis=0), deviations, strict=True)]


def _figures(name: str, seed: int, options: argparse.Namespace) -> list[float]:
    folder = _folder(name, seed, options)
    if options.unseen:
        parts = (".", "val", "seen") if name in PEERS else ("test", "val", "seen")
        return [_metrics(folder / part)["recall@1"] for part in parts]
    metrics = _metrics(folder)
    last = metrics["recall@1"] if name in PEERS else _last_validation(folder)
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
    trained = (folder / "metrics.json").exists()
    if name in PEERS:
        unseen = ("--unseen", "--split-seed", str(seed)) if options.unseen else ()
        asked = ("--seed", str(seed), "--threads", "1", "--output", str(folder), *unseen)
        if not trained:
            run_script("-m", "benchmarks.plain_loops", *PEERS[name], *asked)
        return
    if options.unseen:
        protocol = ("data=grocery_unseen", f"data.split_seed={seed}")
        overrides = ("experiment=grocery", *protocol, *PARTS[name])
    else:
        overrides = ("experiment=grocery", *COMBINATIONS[name])
    if not trained:
        run_script("train.py", *overrides, f"seed={seed}", f"name={folder.parent.name}", f"hydra.run.dir={folder}")
    if options.unseen:
        _evaluate(folder)


def _evaluate(folder: Path) -> None:
    checkpoint = f"checkpoint={folder / 'checkpoints' / 'best.ckpt'}"
    for part, asked in {"test": "split=test", "val": "split=val", "seen": "data.count.ask=seen"}.items():
        if not (folder / part / "metrics.json").exists():
            output = f"output={folder / part}"
            run_script("evaluate.py", checkpoint, output, asked, "report=false", "pictures=0", "resamples=0")


def _folder(name: str, seed: int, options: argparse.Namespace) -> Path:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    return Path(options.output) / ("unseen" if options.unseen else "seen") / plain / f"seed{seed}"


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
