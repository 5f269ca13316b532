"""What hard negatives and clicks give on the built-in shop: python -m benchmarks.hard_negatives.

A small network learns from batches that are drawn by chance, by the demo's recipe; then training goes on from there, at
lower rates, with batches drawn by chance, with category-aware negatives, with global hard negatives, with
clicks; several seeds each. Epochs are chosen on the shop's validation products. What is printed is of another shop,
simulated from another seed: none of its products was trained on or chose anything, and it is large enough to hold many
twins. Runs that are there are not trained again: a run that was stopped is taken up by the same command.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.entry_scripts import run_all, run_script
from src.catalog.catalogue import open_catalogue
from src.commandline import composed
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.contracts.settings import TrainSettings
from src.eval.checkpoint_comparison import Difference
from src.eval.method_comparison import compare_methods
from src.eval.runs import Run, check_comparable, open_run
from src.pipelines.co_clicks import main as write_co_clicks

FIRST = "before"

_PAIRS = "co_clicks.parquet"
"""In the shop's folder."""

ARMS: dict[str, tuple[str, ...]] = {
    "random": (),
    "category batches": ("sampler=category", "sampler.together=4"),
    "category batches and miner": ("sampler=category", "sampler.together=4", "miner=category_hard"),
    "global hard negatives": ("sampler=neighbours", "neighbours.every=1", "neighbours.first_epoch=0"),
    "clicks: loss": ("clicks.weight=0.3",),
    "clicks: loss and batches": ("sampler=neighbours", "neighbours.every=0", "clicks.weight=0.3"),
    "clicks: loss, batches and pairs": (
        *("sampler=neighbours", "neighbours.every=0", "clicks.weight=0.3", f"clicks.pairs={_PAIRS}"),
    ),
}
"""What differs when training goes on; the first is what the others are compared with."""

_SLOWER = ("optim.lr=5e-4", "optim.backbone_lr=1e-3")

FIGURES = ("Recall@1", "Recall@1, items with a twin", "item before its twin")


def main() -> None:
    """Train and evaluate what is missing, and print the table."""
    options = _parser().parse_args()
    with exit_with_message():
        unknown = [name for name in options.arms if name not in ARMS]
        if unknown:
            raise ConfigError(f"--arms {', '.join(unknown)}: none of {', '.join(ARMS)}")
        # Simulated before two runs do it at once.
        for shop in (_shop(options), _other_shop(options)):
            fixed = ("experiment=demo", *shop, f"hydra.runtime.output_dir={options.output}")
            open_catalogue(composed(TrainSettings, "train", *fixed).data)
        shop = Path(options.output) / f"shop{options.parents}"
        if any(f"clicks.pairs={_PAIRS}" in ARMS[name] for name in options.arms):
            write_co_clicks([str(shop / "interactions.parquet"), "--output", str(shop / _PAIRS)])
        seeds = range(options.seeds)
        run_all([partial(_run, FIRST, seed, options) for seed in seeds], jobs=options.jobs)
        run_all([partial(_run, name, seed, options) for seed in seeds for name in options.arms], jobs=options.jobs)
        print(f"{options.parents} products of another shop, {options.seeds} seeds")
        print(as_table({name: _figures(name, options) for name in (*options.arms, FIRST)}))


def as_table(figures: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """A Markdown table: means over the seeds, and differences to the first line with their 95 % intervals.

    All runs of a seed begin from the same encoder, so that differences are taken seed by seed: how lucky that one was
    is not in them.

    Args:
        figures: by name, float64 of shape (seeds, queries, figures), and the product of each query.
    """
    names = list(figures)
    base, products = figures[names[0]]
    lines = ["| | " + " | ".join(FIGURES) + " |", "| --- |" + " ---: |" * len(FIGURES)]
    for name in names:
        means = np.nanmean(figures[name][0], axis=(0, 1))
        cells = [f"{mean:.3f}" for mean in means]
        if name != names[0]:
            gained = figures[name][0] - base
            differences = compare_methods(gained, np.zeros_like(gained[:1]), products, seedless=(False, True))
            cells = [f"{cell} ({_described(each)})" for cell, each in zip(cells, differences, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    counts = (~np.isnan(base[0])).sum(axis=0)
    lines.append("| queries | " + " | ".join(str(count) for count in counts) + " |")
    return "\n".join(lines)


def query_figures(table: pa.Table) -> np.ndarray:
    """The figures of each query: float64 of shape (queries, 3), NaN where they mean nothing for it.

    A twin that is not among the results listed stands behind them; an item that is not there either does not pass it.
    """
    right = table["recall@1"].to_numpy(zero_copy_only=False).astype(np.float64)
    ranks = 1 / table["mrr"].to_numpy(zero_copy_only=False).astype(np.float64)
    twins = table["twin_id"].to_pylist()
    before = np.full(len(right), np.nan)
    for query, (twin, results) in enumerate(zip(twins, table["result_item_ids"].to_pylist(), strict=True)):
        if twin is not None:
            place = results.index(twin) + 1 if twin in results else len(results) + 1
            before[query] = ranks[query] < place
    with_twin = np.array([twin is not None for twin in twins])
    return np.column_stack([right, np.where(with_twin, right, np.nan), before])


def _figures(name: str, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    runs: list[Run] = [open_run(str(_folder(name, seed, options) / "judged")) for seed in range(options.seeds)]
    check_comparable(runs, ["recall@1", "mrr"])
    return np.stack([query_figures(run.table) for run in runs]), runs[0].products()


def _folder(name: str, seed: int, options: argparse.Namespace) -> Path:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    length = f"{options.epochs}" if name == FIRST else f"{options.epochs}+{options.more_epochs}"
    return Path(options.output) / f"{options.parents}x{length}" / plain / f"seed{seed}"


def _shop(options: argparse.Namespace) -> list[str]:
    output = Path(options.output)
    sizes = [f"data.shop.parents={options.parents}", f"data.shop.sessions={options.sessions}"]
    return [f"data.root={output / f'shop{options.parents}'}", f"data.cache={output / 'pixels'}", *sizes]


def _other_shop(options: argparse.Namespace) -> list[str]:
    root = Path(options.output) / f"other{options.parents}"
    sizes = [f"data.shop.parents={options.parents}", f"data.shop.sessions={options.sessions}", "data.shop.seed=1"]
    # All of it asks and answers, but for the hundredth that a catalogue must leave for training.
    return [f"data.root={root}", *sizes, "data.split_by=product", "data.val_fraction=0.99", "data.test_fraction=0"]


def _run(name: str, seed: int, options: argparse.Namespace) -> None:
    """Train, unless the checkpoint is evaluated already."""
    folder = _folder(name, seed, options)
    epochs = options.epochs
    how: tuple[str, ...] = ()
    if name != FIRST:
        start = _folder(FIRST, seed, options) / "checkpoints" / "best.ckpt"
        epochs, how = options.more_epochs, (f"model.weights={start}", *_SLOWER, *ARMS[name])
    if not (folder / "metrics.json").exists():
        run_script(
            "train.py",
            "experiment=demo",
            f"name={folder.parent.name}",
            f"seed={seed}",
            *_shop(options),
            f"trainer.epochs={epochs}",
            f"trainer.patience={epochs}",
            f"hydra.run.dir={folder}",
            *how,
        )
    if not (folder / "judged" / "metrics.json").exists():
        run_script(
            "evaluate.py",
            f"checkpoint={folder / 'checkpoints' / 'best.ckpt'}",
            f"output={folder / 'judged'}",
            "split=val",
            *_other_shop(options),
            "report=false",
            "pictures=0",
            "resamples=0",
        )


def _described(difference: Difference) -> str:
    if difference.value is None or difference.low is None or difference.high is None:
        return difference.reason or "no interval"
    return f"{difference.value:+.3f}, {difference.low:+.3f} to {difference.high:+.3f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="outputs/hard_negatives", help="folder of the shop and the runs")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), metavar="NAME", help="the first is compared with")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--parents", type=int, default=600, help="products of the shop")
    parser.add_argument("--sessions", type=int, default=20_000, help="sessions of its log")
    parser.add_argument("--epochs", type=int, default=8, help="before training goes on")
    parser.add_argument("--more-epochs", type=int, default=4, help="of each arm")
    return parser


if __name__ == "__main__":
    main()
