"""Whether a batch that is killed ends as one that is not: python -m benchmarks.pipelines.kills.

Driver and workers are ended by SIGKILL at random moments of a run over the built-in shop; a killed driver is started
again until it ends by itself. Its tables must then equal those of an uninterrupted run, row for row, except for what
names runs, commits and times. Then: a second run embeds nothing, and after 1 % of the pictures changed, a third embeds
these.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from PIL import Image, ImageOps

from benchmarks.pipelines.materials import Materials, make_materials
from benchmarks.serving.process_tree import ProcessTree

_OF_THE_RUN = ("created_at", "seen_at", "batch_id", "run", "version")
_TABLES = ("embeddings", "files", "images", "quarantine")
_DEADLINE_S = 900
_BROKEN_FIRST, _BROKEN_EVERY = 5, 97
"""Which files are no images."""


def main() -> None:
    """Print a Markdown table; exit with 1 where a row differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--engine", default="pool", choices=["in_process", "pool", "spark"])
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="where pictures and tables are kept; else they are thrown away")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(_measure(asked, asked.folder or Path(scratch)))


def _measure(asked: argparse.Namespace, folder: Path) -> int:
    materials = make_materials(folder, images=asked.images, image_size=96, size=64, backbone="mobilenetv2_050")
    _damage(materials)
    whole = folder / "whole"
    started = time.perf_counter()
    assert _start(materials, whole, asked.engine).wait(_DEADLINE_S) == 0
    seconds = time.perf_counter() - started
    expected = _tables(whole)
    draw = random.Random(asked.seed)  # noqa: S311 - moments, not secrets
    print(f"{asked.images} images, engine {asked.engine}, {seconds:.1f} s without a kill\n")
    print("| killed | after s | starts | rows | equal |\n| --- | ---: | ---: | ---: | --- |")
    wrong = 0
    for number in range(asked.kills):
        victim = "worker" if number % 2 and asked.engine != "in_process" else "driver"
        moment = draw.uniform(0.1, 1.0) * seconds
        starts, hit = _killed_once(materials, folder / f"killed-{number}", asked.engine, victim, moment)
        found = _tables(folder / f"killed-{number}")
        equal = found == expected
        wrong += not equal
        rows = sum(map(len, found.values()))
        print(
            f"| {victim if hit else 'nothing left'} | {moment:.1f} | {starts} | {rows} | {'yes' if equal else 'NO'} |"
        )
    wrong += _incremental(materials, whole, asked.engine)
    return int(wrong > 0)


def _killed_once(materials: Materials, output: Path, engine: str, victim: str, moment: float) -> tuple[int, bool]:
    """Start a run, kill once, start again until one ends by itself: the number of starts, whether it was hit."""
    process = _start(materials, output, engine)
    try:
        process.wait(moment)
        return 1, False
    except subprocess.TimeoutExpired:
        pass
    workers = [pid for pid in ProcessTree(process.pid).pids() if pid != process.pid and _is_worker(pid)]
    hit = victim == "driver" or bool(workers)
    if victim == "driver":
        process.kill()
    elif workers:
        os.kill(workers[-1], signal.SIGKILL)
    starts = 1
    while process.wait(_DEADLINE_S) != 0:
        if victim == "worker" or starts > 3:
            raise SystemExit(f"the run over {output} ended with {process.returncode} after a {victim} was killed")
        process = _start(materials, output, engine)
        starts += 1
    return starts, hit


def _is_worker(pid: int) -> bool:
    """Whether a process runs stages: one that was spawned, or one of Spark's."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"spawn_main" in command or b"pyspark.daemon" in command


def _incremental(materials: Materials, output: Path, engine: str) -> int:
    again = _embedded_by(materials, output, engine)
    good = [image for number, image in enumerate(materials.images) if number % _BROKEN_EVERY != _BROKEN_FIRST]
    changed = good[:: max(1, len(good) // max(1, len(good) // 100))][: max(1, len(good) // 100)]
    for image in changed:
        path = materials.root / image
        ImageOps.mirror(Image.open(path)).save(path)
    third = _embedded_by(materials, output, engine)
    print(f"\nA second run embeds {again} images; after {len(changed)} of {len(materials.images)} changed, {third}.")
    return int(again != 0 or third != len(changed))


def _embedded_by(materials: Materials, output: Path, engine: str) -> int:
    before = _count(output)
    assert _start(materials, output, engine).wait(_DEADLINE_S) == 0
    return _count(output) - before


def _count(output: Path) -> int:
    return int(DeltaTable(str(output / "embeddings")).to_pyarrow_dataset().count_rows())


def _start(materials: Materials, output: Path, engine: str) -> "subprocess.Popen[bytes]":
    small = ["engine.task_rows=32", "engine.commit_rows=64", "engine.batch=16", "runtime=onnxruntime"]
    command = [sys.executable, "-m", "src.pipelines.batch", *materials.overrides(), f"output={output}"]
    options = [f"engine={engine}", *small, "max_quarantined=1"]
    # Fixed words of ours.
    return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603


def _damage(materials: Materials) -> None:
    """Some files that go to quarantine."""
    for image in list(materials.images)[_BROKEN_FIRST::_BROKEN_EVERY]:
        (materials.root / image).write_bytes(b"broken")


def _tables(output: Path) -> dict[str, Sequence[dict[str, Any]]]:
    found: dict[str, Sequence[dict[str, Any]]] = {}
    for name in _TABLES:
        table = DeltaTable(str(output / name)).to_pyarrow_table()
        kept = table.drop_columns([column for column in _OF_THE_RUN if column in table.column_names])
        found[name] = sorted(kept.to_pylist(), key=lambda row: (row["image_id"], str(row)))
    return found


if __name__ == "__main__":
    main()
