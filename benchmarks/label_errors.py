"""How many planted label errors are among the first suspected: python -m benchmarks.label_errors RUN RUN ..."""

import argparse

import numpy as np
import pyarrow as pa

from src.contracts.exit_codes import exit_with_message
from src.eval.runs import Run, check_comparable, open_run
from src.eval.suspected_labels import suspected_labels


def main() -> None:
    """Swap the labels of some queries, list as many suspects, and print the share that was swapped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="output folders of evaluate.py, of the same queries")
    parser.add_argument("--planted", type=int, default=24, help="queries whose labels are swapped in pairs")
    parser.add_argument("--repeats", type=int, default=20, help="draws of such queries")
    options = parser.parse_args()
    with exit_with_message():
        runs = [open_run(given) for given in options.runs]
        check_comparable(runs, [])
    groups = [[run] for run in runs] + ([runs] if len(runs) > 1 else [])
    answerable = int((runs[0].table["positives"].to_numpy() > 0).sum())
    print(f"{options.planted} of {answerable} queries planted, {options.repeats} draws")
    print("| models | precision of the first | worst draw |\n| --- | ---: | ---: |")
    for group in groups:
        rng = np.random.default_rng(0)
        found = [_precision(group, options.planted // 2 * 2, rng) for _ in range(options.repeats)]
        print(f"| {', '.join(run.name for run in group)} | {np.mean(found):.2f} | {min(found):.2f} |")


def _precision(runs: list[Run], planted: int, rng: np.random.Generator) -> float:
    first = runs[0].table
    chosen = rng.choice(np.flatnonzero(first["positives"].to_numpy() > 0), planted, replace=False)
    partners = chosen.reshape(-1, 2)[:, ::-1].ravel()
    labels = first["item_id"].to_numpy().copy()
    labels[chosen] = labels[partners]
    where = first.column_names.index("item_id")
    tables = {
        f"{number}": run.table.set_column(where, "item_id", pa.array(labels, pa.string()))
        for number, run in enumerate(runs)
    }
    images = set(first["image_id"].to_numpy()[chosen])
    return float(np.mean([case.image_id in images for case in suspected_labels(tables, planted)]))


if __name__ == "__main__":
    main()
