"""Images a second of the batch's engines, and of a plain loop: python -m benchmarks.pipelines.throughput.

The plain loop opens, preprocesses and embeds one image after another batch, on all cores, and appends to a Parquet
file. An engine's figure leaves its start out: it is the time that a larger run takes beyond a smaller one, by the
images that it has more. All run in one process tree each, one after the other, and in turn.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pipelines.materials import Materials, make_materials

_LOOP = "plain loop"
_DEADLINE_S = 3600


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 5000, 20_000], help="ascending")
    parser.add_argument("--engines", nargs="+", default=["in_process", "pool", "spark"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="mobilenetv2_100", help="a network of timm, with new weights")
    parser.add_argument("--size", type=int, default=128, help="side of its input")
    parser.add_argument("--image-size", type=int, default=256, help="side of the pictures' files")
    parser.add_argument("--folder", type=Path, help="where pictures are kept between calls; else they are thrown away")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        sizes = sorted(asked.images)
        materials = {
            count: make_materials(
                folder, images=count, image_size=asked.image_size, size=asked.size, backbone=asked.backbone
            )
            for count in sizes
        }
        _report(sizes, [_LOOP, *asked.engines], materials, asked.rounds, Path(scratch))


def _report(
    sizes: Sequence[int], ways: Sequence[str], materials: dict[int, Materials], rounds: int, scratch: Path
) -> None:
    seconds = {
        (way, count): [_seconds(way, materials[count], scratch / f"{way}-{count}-{turn}") for turn in range(rounds)]
        for count in sizes
        for way in ways
    }
    best = {key: min(times) for key, times in seconds.items()}
    print("Seconds of the whole command, the best of", rounds, "\n")
    print("| | " + " | ".join(f"{count} images" for count in sizes) + " |\n| --- |" + " ---: |" * len(sizes))
    for way in ways:
        print(f"| {way} | " + " | ".join(f"{best[way, count]:.1f}" for count in sizes) + " |")
    if len(sizes) < 2:
        return
    few, many = sizes[0], sizes[-1]
    rate = {way: (many - few) / max(best[way, many] - best[way, few], 1e-9) for way in ways}
    print(f"\nWithout the start: from {few} to {many} images\n")
    print("| | images/s | ms an image | of the plain loop | start, s |\n| --- | ---: | ---: | ---: | ---: |")
    for way in ways:
        start = best[way, few] - few / rate[way]
        ratio = rate[way] / rate[_LOOP]
        print(f"| {way} | {rate[way]:.0f} | {1000 / rate[way]:.2f} | {ratio:.2f} | {start:.1f} |")
    if "pool" in rate and "spark" in rate:
        print(f"\nSpark by the pool: {rate['spark'] / rate['pool']:.2f}")
    spread = statistics.median(max(times) / min(times) for times in seconds.values())
    print(f"Slowest by quickest of {rounds} rounds, the median of all cells: {spread:.2f}")


def _seconds(way: str, materials: Materials, output: Path) -> float:
    if way == _LOOP:
        words = ["-m", "benchmarks.pipelines.plain_loop", str(materials.bundle), str(materials.root)]
        words += [materials.manifest, str(output)]
    else:
        # The loop neither judges pictures nor keeps their pixels.
        words = ["-m", "src.pipelines.batch", *materials.overrides(), f"output={output}", f"engine={way}"]
        words += ["check_quality=false", "keep_pixels=false", "engine.task_rows=250"]
    started = time.perf_counter()
    # Fixed words of ours.
    ended = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True, timeout=_DEADLINE_S)  # noqa: S603
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise SystemExit(f"{way}: {ended.stderr}")
    found = re.search(r"(\d+) new|(\d+) embedded", ended.stdout)
    assert found is not None
    assert int(found[1] or found[2]) == len(materials.images), "each image is embedded once"
    return seconds


if __name__ == "__main__":
    main()
