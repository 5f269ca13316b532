"""A race and the full grid on the same trials, on real photos: python -m benchmarks.racing.

Two losses at four rates of the backbone, eight epochs of the grocery set each: MobileNetV2 at 64 px, its first six of
eight stages frozen, half of an epoch's batches. `sweep=grid` trains all of them to the end; `sweep=racing` compares
them after one, two and four epochs and drops what the paired test finds worse than the best. Counts epochs, not
seconds. Sweeps that are there are not trained again: a benchmark that was stopped is taken up by the same command.
"""

import argparse
import csv
from functools import partial
from pathlib import Path

from benchmarks.entry_scripts import run_all, run_script
from src.contracts.exit_codes import exit_with_message
from src.eval.training_log import learning_curve
from src.sweeps.race_record import read_race

_SETTINGS = (
    "experiment=grocery",
    "loss=infonce_and_proxies,triplet",
    "optim.backbone_lr=1e-5,1e-4,1e-3,1e-2",
    "objective.pairs=all",
    "optim.interpolate=[]",
    "optim.freeze=6",
    "preprocessing.size=64",
    "data.augmentation=light",
    "data.leakage=off",
    "trainer.epochs=8",
    "trainer.lightning.limit_train_batches=20",
)
_SWEEPS = {
    "grid": ("sweep=grid",),
    "race": ("sweep=racing", "hydra.sweeper.rungs=[0.125,0.25,0.5]"),
}


def main() -> None:
    """Run both sweeps, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="outputs/racing", help="folder of the sweeps")
    parser.add_argument("--jobs", type=int, default=2, help="sweeps at once, one thread each")
    options = parser.parse_args()
    output = Path(options.output)
    with exit_with_message():
        run_all([partial(_sweep, name, output) for name in _SWEEPS], jobs=options.jobs)
        print("\n".join(_table(output)))


def _sweep(name: str, output: Path) -> None:
    run_script("train.py", *_SETTINGS, *_SWEEPS[name], "hydra.sweeper.seeds=[0]", f"hydra.sweep.dir={output / name}")


def _table(output: Path) -> list[str]:
    grid, race = _trials(output / "grid"), _trials(output / "race")
    looks = read_race(output / "race", level=0).looks
    standings = {each.trial: each for look in looks for each in look.standings}
    lines = ["| trial | recall@1 at the end | epochs | race: recall@1 | epochs | to the best |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    totals = [0, 0]
    for number, (whole, raced) in enumerate(zip(grid, race, strict=True)):
        epochs, found = _epochs(output / "grid", whole), standings[number]
        totals = [totals[0] + epochs, totals[1] + found.epochs]
        why = f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" if found.dropped else "kept"
        name = f"{raced['loss']}, {raced['optim.backbone_lr']}"
        lines.append(
            f"| {name} | {float(whole['value']):.3f} | {epochs} | {found.value:.3f} | {found.epochs} | {why} |"
        )
    best = [max(trials, key=lambda each: float(each["value"] or "-inf")) for trials in (grid, race)]
    names = [f"{each['loss']}, {each['optim.backbone_lr']}" for each in best]
    lines.append(f"| all: the best is {names[0]}; the race's, {names[1]} | | {totals[0]} | | {totals[1]} | |")
    return lines


def _trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def _epochs(folder: Path, trial: dict[str, str]) -> int:
    return int(max(epoch for epoch, _ in learning_curve(folder / trial["folder"] / "seed-0", "recall@1")))


if __name__ == "__main__":
    main()
