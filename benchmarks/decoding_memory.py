"""Peak memory of decoding large files, beside the bound that their headers give: python -m benchmarks.decoding_memory.

Linux only: the kernel counts the peak. Each file is decoded in a process of its own.
"""

import argparse
import ctypes
import gc
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from src.contracts.image_header import decoding_bytes, read_header
from src.contracts.preprocessing import PreprocessingSpec, decode, preprocess

__all__ = ["SPEC", "peaks"]

SPEC = PreprocessingSpec(size=224)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding_memory", description=__doc__)
    parser.add_argument("--side", type=int, default=8000, help="of the square pictures, in pixels")
    parser.add_argument("--measure", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        for path in arguments.measure:
            print(*(_in_a_child(path, spec) for spec in (None, SPEC)), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        names = _write(Path(scratch), arguments.side)
        paths = [Path(scratch) / name for name in names]
        print(f"| {arguments.side} x {arguments.side} | `decode` MB | bound | `preprocess` to 224 MB | bound |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, path, (decoding, preprocessing) in zip(names, paths, peaks(paths), strict=True):
            header = read_header(path.read_bytes())
            bounds = decoding_bytes(header), decoding_bytes(header, spec=SPEC)
            figures = (decoding, bounds[0], preprocessing, bounds[1])
            print(f"| {name} | {' | '.join(f'{value / 1e6:.0f}' for value in figures)} |")


def peaks(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """The bytes that `decode` of each file takes at its peak, and those of `preprocess` for `SPEC`."""
    command = [sys.executable, "-m", "benchmarks.decoding_memory", "--measure", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own module
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(int(decoding), int(preprocessing)) for decoding, preprocessing in lines]


def _write(folder: Path, side: int) -> list[str]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (side // 20, side // 20, 3), dtype=np.uint8))
    image = image.resize((side, side), Image.Resampling.BILINEAR)
    alpha = image.copy()
    alpha.putalpha(image.getchannel(0))
    files: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "JPEG": (image, "JPEG", {}),
        "JPEG, progressive": (image, "JPEG", {"progressive": True}),
        "PNG": (image, "PNG", {"compress_level": 1}),
        "WebP": (image, "WEBP", {"method": 0}),
        "WebP, alpha": (alpha, "WEBP", {"method": 0}),
        "WebP, lossless": (image, "WEBP", {"lossless": True, "method": 0, "quality": 0}),
        "GIF": (image.quantize(256), "GIF", {}),
        "TIFF, LZW": (image, "TIFF", {"compression": "tiff_lzw"}),
    }
    for name, (picture, form, options) in files.items():
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        (folder / name).write_bytes(buffer.getvalue())
    return list(files)


def _in_a_child(path: Path, spec: PreprocessingSpec | None) -> int:
    """A fork shares what is imported, and nothing that an earlier file left."""
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, str(_peak(path.read_bytes(), spec)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.wait()
    return int(answer)


def _peak(data: bytes, spec: PreprocessingSpec | None) -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # The peak begins anew.
    before = _status("VmRSS")
    if spec is None:
        decode(data)
    else:
        preprocess(data, spec)
    return _status("VmHWM") - before


def _status(name: str) -> int:
    """A line of the kernel's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


if __name__ == "__main__":
    main()
