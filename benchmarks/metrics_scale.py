"""Time and memory of the retrieval metrics, beside others: python -m benchmarks.metrics_scale.

Leave-one-out over images, 60,502 vectors of 512 numbers in 11,316 classes, as many as in Stanford Online Products' test
split; then 500,000 vectors, ours alone, whose figures grow with the square: all queries take half an hour on two cores,
so `--queries` of them ask. Each contestant runs in a fresh process; memory is the peak of its
resident set beyond what it held with the vectors loaded. open-metric-learning needs numpy < 2 and so an environment of
its own: python -m venv DIR && DIR/bin/pip install open-metric-learning==4.0.0, then `--oml-python DIR/bin/python`.
Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

_IMAGES_A_CLASS = 60_502 / 11_316


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60_502)
    parser.add_argument("--large", type=int, default=500_000, help="vectors of the second part; 0 leaves it out")
    parser.add_argument("--queries", type=int, default=150_000, help="that ask in the second part")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--noise", type=float, default=1.9, help="of an image, in units of its class's norm")
    parser.add_argument("--memory-mb", type=int, default=256, help="our working memory")
    parser.add_argument("--oml-python", help="Python of an environment with open-metric-learning")
    arguments = parser.parse_args()
    print("| contestant | vectors | queries | seconds | peak MiB beyond the vectors | metrics |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    pythons = {"ours": sys.executable, "pytorch-metric-learning": sys.executable}
    if arguments.oml_python:
        pythons["open-metric-learning"] = arguments.oml_python
    _part(arguments, pythons, arguments.images, arguments.images)
    if arguments.large:
        _part(arguments, {"ours": sys.executable}, arguments.large, min(arguments.queries, arguments.large))


def clustered(images: int, dim: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of norm 1 around random centres, in random order.

    Args:
        images: how many.
        dim: numbers in a vector.
        noise: length of what is added to a class's centre, on average over the classes, in units of its norm.

    Returns:
        float32 of shape (images, dim), and int64 labels; each class has 2 to 12 images.
    """
    rng = np.random.default_rng(0)
    classes = round(images / _IMAGES_A_CLASS)
    sizes = np.full(classes, 2)
    while (missing := images - sizes.sum()) > 0:
        sizes += np.bincount(rng.integers(0, classes, missing), minlength=classes)
        sizes = np.minimum(sizes, 12)
    labels = np.repeat(np.arange(classes), sizes)
    rng.shuffle(labels)
    centres = rng.standard_normal((classes, dim), dtype=np.float32)
    spread = (noise * rng.uniform(0.5, 1.5, classes)).astype(np.float32)
    vectors = rng.standard_normal((images, dim), dtype=np.float32)
    vectors *= spread[labels, None]
    for start in range(0, images, 8192):
        block = vectors[start : start + 8192]
        block += centres[labels[start : start + 8192]]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors, labels


def _part(arguments: argparse.Namespace, pythons: dict[str, str], images: int, queries: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, array in zip(("vectors", "labels"), clustered(images, arguments.dim, arguments.noise), strict=True):
            np.save(Path(folder) / f"{name}.npy", array)
        for name, python in pythons.items():
            done = _run(python, name, folder, str(queries), str(arguments.memory_mb))
            shown = ", ".join(
                f"{key} {value:.4f}" for key, value in done["metrics"].items() if isinstance(value, float)
            )
            figures = f"{images:,} | {queries:,} | {done['seconds']:.1f} | {done['peak_mb']:,.0f}"
            print(f"| {name} | {figures} | {shown} |", flush=True)


def _run(python: str, *parts: str) -> dict[str, Any]:
    command = [python, "-m", "benchmarks.metrics_contestants", *parts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own command
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
