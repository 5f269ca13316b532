"""Images per second of decode and resize, beside what people use instead: python -m benchmarks.preprocessing."""

import argparse
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from src.contracts.preprocessing import PreprocessingSpec, decode, preprocess

_SPEC = PreprocessingSpec(size=224, resize="squash", decoding="full")
_REDUCED = replace(_SPEC, decoding="reduced")


def main() -> None:
    """Print a Markdown table: each way in one run, the fastest of three rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; without it, simulated photos")
    parser.add_argument("--side", type=int, default=800, help="of simulated photos, in pixels; a camera's have 4,000")
    parser.add_argument("--count", type=int, default=200, help="images in a round")
    arguments = parser.parse_args()
    files = _files(arguments.images, arguments.count, arguments.side)
    print("| decode and resize to 224 x 224 | threads | images/s |\n| --- | ---: | ---: |")
    ways: dict[str, Callable[[bytes], np.ndarray]] = {
        "ours: simplejpeg, Pillow bicubic": lambda data: preprocess(data, _SPEC),
        "ours, decoded at a reduced scale": lambda data: preprocess(data, _REDUCED),
        "Pillow alone, bicubic": _with_pillow,
        "OpenCV, area (other pixels)": _with_opencv,
        "ours, decoding alone": decode,
        "Pillow, decoding alone": lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
    }
    for name, way in ways.items():
        for threads in (1, 2):
            print(f"| {name} | {threads} | {_rate(way, files, threads):.0f} |")


def _files(folder: Path | None, count: int, side: int) -> list[bytes]:
    if folder is not None:
        paths = sorted(folder.rglob("*.jpg"))[:count]
        return [path.read_bytes() for path in paths]
    return [_photo(seed, side) for seed in range(count)]


def _photo(seed: int, size: int) -> bytes:
    """Noise at several scales: about as hard to compress as a photo."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (8, 32, 128)]
    scaled = [np.asarray(Image.fromarray(layer).resize((size, size), Image.Resampling.BICUBIC)) for layer in layers]
    buffer = io.BytesIO()
    Image.fromarray(np.mean(scaled, axis=0).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _with_pillow(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((_SPEC.size, _SPEC.size), Image.Resampling.BICUBIC))


def _with_opencv(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.resize(image, (_SPEC.size, _SPEC.size), interpolation=cv2.INTER_AREA)


def _rate(way: Callable[[bytes], np.ndarray], files: list[bytes], threads: int) -> float:
    cv2.setNumThreads(1)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(3):
            start = time.perf_counter()
            list(pool.map(way, files))
            best = min(best, time.perf_counter() - start)
    return len(files) / best


if __name__ == "__main__":
    main()
