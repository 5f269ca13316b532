"""Faults that are planted in a shop's pictures, and how many are found: python -m benchmarks.catalog_quality.

Each picture of a built-in shop gets one fault of one strength, or none. The even half of the pictures is for choosing
limits (`--half tuning`), the odd half reports. With `--photos`, real photos of a catalogue folder: all that is found
in them is a false reject.
"""

import argparse
import io
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFile, ImageFilter

from src.catalog.quality import QualityLimits, Reason, judge
from src.catalog.quality.judge import judge_pixels
from src.catalog.quality.measures import Measures
from src.catalog.reduced_picture import reduced_picture
from src.contracts.exit_codes import exit_with_message
from src.contracts.image_header import read_header
from src.shop import open_shop

Fault = Callable[[Image.Image, np.random.Generator], bytes]


def _jpeg(image: Image.Image, quality: int = 88) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _cut(image: Image.Image, share: float) -> bytes:
    data = _jpeg(image)
    return data[: int(len(data) * share)]


def _saved_anew(image: Image.Image, share: float) -> bytes:
    """What a lenient program makes of a truncated file."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(_cut(image, share))) as opened:
            return _jpeg(opened.convert("RGB"))
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _scaled(image: Image.Image) -> float:
    return max(image.size) / 256


def _light(image: Image.Image, gain: float, *, towards: int) -> bytes:
    return _jpeg(image.point([round(towards + (value - towards) * gain) for value in range(256)] * 3))


def _motion(image: Image.Image, length: int) -> bytes:
    taps = round(length * _scaled(image)) | 1
    kernel = np.zeros((taps, taps), np.float32)
    kernel[taps // 2] = 1 / taps
    return _jpeg(Image.fromarray(cv2.filter2D(np.asarray(image), -1, kernel)))


def _single(rng: np.random.Generator, noise: float) -> bytes:
    pixels = rng.integers(0, 256, 3) + rng.normal(0, noise, (256, 256, 3))
    return _jpeg(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))


def _strip(image: Image.Image, aspect: int) -> bytes:
    """As many of it beside one another."""
    return _jpeg(Image.fromarray(np.tile(np.asarray(image), (1, aspect, 1))))


def _small(image: Image.Image, side: int) -> bytes:
    return _jpeg(image.resize((side, side), Image.Resampling.BOX))


def _upscaled(image: Image.Image, by: int) -> bytes:
    small = image.resize((image.width // by, image.height // by), Image.Resampling.BOX)
    return _jpeg(small.resize(image.size, Image.Resampling.BICUBIC))


FAULTS: dict[str, tuple[Reason, Fault]] = {
    **{
        f"truncated to {share:.0%} of its bytes": (Reason.CORRUPT, partial(lambda i, r, s: _cut(i, s), s=share))
        for share in (0.9, 0.6, 0.3)
    },
    **{
        f"the same, saved anew, {share:.0%}": (Reason.CUT_OFF, partial(lambda i, r, s: _saved_anew(i, s), s=share))
        for share in (0.9, 0.6, 0.3)
    },
    "a page instead of a picture": (Reason.UNSUPPORTED, lambda i, r: b"<!doctype html><title>404</title>"),
    "grey, one channel": (Reason.GREY, lambda i, r: _jpeg(i.convert("L"))),
    "grey, three channels": (Reason.GREY, lambda i, r: _jpeg(i.convert("L").convert("RGB"))),
    "colour at 10 %": (Reason.GREY, lambda i, r: _jpeg(ImageEnhance.Color(i).enhance(0.1))),
    **{
        f"light at {gain:.0%}": (Reason.TOO_DARK, partial(lambda i, r, g: _light(i, g, towards=0), g=gain))
        for gain in (0.4, 0.2, 0.1)
    },
    **{
        f"contrast at {gain:.0%}, to white": (
            Reason.TOO_BRIGHT,
            partial(lambda i, r, g: _light(i, g, towards=255), g=gain),
        )
        for gain in (0.4, 0.2, 0.1)
    },
    **{f"{side} pixels": (Reason.TOO_SMALL, partial(lambda i, r, s: _small(i, s), s=side)) for side in (40, 24)},
    **{
        f"a strip of {aspect} to 1": (Reason.EXTREME_ASPECT, partial(lambda i, r, a: _strip(i, a), a=aspect))
        for aspect in (5, 8)
    },
    **{
        f"blurred, sigma {sigma} of 256 pixels": (
            Reason.BLURRED,
            partial(lambda i, r, s: _jpeg(i.filter(ImageFilter.GaussianBlur(s * _scaled(i)))), s=sigma),
        )
        for sigma in (1, 2, 3, 4)
    },
    **{
        f"motion over {length} of 256 pixels": (Reason.BLURRED, partial(lambda i, r, n: _motion(i, n), n=length))
        for length in (9, 15, 25)
    },
    **{f"enlarged {by} times": (Reason.BLURRED, partial(lambda i, r, n: _upscaled(i, n), n=by)) for by in (4, 8)},
    **{
        f"one colour, noise {noise}": (Reason.SINGLE_COLOUR, partial(lambda i, r, n: _single(r, n), n=noise))
        for noise in (0, 2)
    },
}
"""What is planted: the reason that it should give, and how it is made."""

NONE = "nothing"
_ALSO = {
    # Of black, of white and of grey there is one colour only.
    Reason.TOO_DARK: {Reason.SINGLE_COLOUR},
    Reason.TOO_BRIGHT: {Reason.SINGLE_COLOUR},
}


def planted_in(number: int) -> str:
    """Each third picture stays as it is; the others get the faults in turn."""
    return NONE if number % 3 == 0 else list(FAULTS)[(number // 3 * 2 + number % 3 - 1) % len(FAULTS)]


def main() -> None:
    """Print recall by fault, precision by reason, false rejects and the cost."""
    options = _parser().parse_args()
    with exit_with_message():
        table = open_shop(options.shop, parents=options.parents, seed=0, image_size=256, sessions=0)
        paths = [options.shop / image for image in table["image"].to_pylist()][: options.images]
        numbers = range(options.half == "reporting", len(paths), 2)
        with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(_planted, [str(paths[n]) for n in numbers], numbers, chunksize=50))
            print(_faults(found), end="\n\n")
            print(_precision(found), end="\n\n")
            print(_rejected("the shop, nothing planted", [row for name, row in found if name == NONE]))
            if options.photos:
                photos = [path for path in sorted(options.photos.rglob("*.jpg")) if _is_of(path, options.half)]
                judged = list(pool.map(_judged, map(str, photos), chunksize=50))
                print(_rejected(str(options.photos), judged))
        print(_cost(paths[:300]))


def _is_of(path: Path, half: str) -> bool:
    return zlib.crc32(path.name.encode()) % 2 == (half == "reporting")


Judged = tuple[tuple[str, ...], dict[str, float]]


def _planted(path: str, number: int) -> tuple[str, Judged]:
    name = planted_in(number // 2)
    if name == NONE:
        return name, _judged(path)
    with Image.open(path) as image:
        data = FAULTS[name][1](image.convert("RGB"), np.random.default_rng(number))
    return name, _finding(data)


def _judged(path: str) -> Judged:
    return _finding(Path(path).read_bytes())


def _finding(data: bytes) -> Judged:
    finding = judge(data)
    measures = {} if finding.measures is None else {name: getattr(finding.measures, name) for name in _NAMES}
    return tuple(map(str, finding.reasons)), measures


_NAMES = tuple(Measures.__dataclass_fields__)


def _faults(found: Sequence[tuple[str, Judged]]) -> str:
    by_name = defaultdict(list)
    for name, (reasons, _) in found:
        by_name[name].append(reasons)
    lines = ["| planted | pictures | found as | found | rejected |", "| --- | ---: | --- | ---: | ---: |"]
    for name, (reason, _) in FAULTS.items():
        rows = by_name[name]
        right = {str(reason), *map(str, _ALSO.get(reason, ()))}
        hits = sum(bool(right & set(reasons)) for reasons in rows)
        rejected = sum(bool(reasons) for reasons in rows)
        count = max(1, len(rows))
        lines.append(f"| {name} | {len(rows)} | {reason} | {hits / count:.3f} | {rejected / count:.3f} |")
    return "\n".join(lines)


def _precision(found: Sequence[tuple[str, Judged]]) -> str:
    right, given = Counter[str](), Counter[str]()
    for name, (reasons, _) in found:
        if reasons:
            given[reasons[0]] += 1
            planted = None if name == NONE else FAULTS[name][0]
            right[reasons[0]] += planted is not None and reasons[0] in (planted, *_ALSO.get(planted, ()))
    lines = ["| reason | given first | precision |", "| --- | ---: | ---: |"]
    return "\n".join(lines + [f"| {name} | {count} | {right[name] / count:.3f} |" for name, count in given.items()])


def _rejected(name: str, judged: Sequence[Judged]) -> str:
    reasons = Counter(reason for reasons, _ in judged for reason in reasons[:1])
    count = sum(reasons.values())
    told = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
    lines = [f"{name}: {count} of {len(judged)} rejected ({count / max(1, len(judged)):.2%}) {told}"]
    for measure in _NAMES:
        values = [measures[measure] for _, measures in judged if measures]
        ends = ", ".join(f"{value:.3g}" for value in np.percentile(values, [0.1, 0.5, 50, 99.5, 99.9]))
        lines.append(f"  {measure}: .1, .5, 50, 99.5, 99.9 % are {ends}")
    return "\n".join(lines)


def _cost(paths: Sequence[Path]) -> str:
    files = [path.read_bytes() for path in paths]
    start = process_time()
    pixels = [reduced_picture(data) for data in files]
    decoded = process_time()
    for data, each in zip(files, pixels, strict=True):
        header = read_header(data)
        judge_pixels(each, header.width, header.height, QualityLimits())
    end = process_time()
    one, other = ((b - a) / len(files) * 1000 for a, b in ((start, decoded), (decoded, end)))
    return f"ms of one core an image: decoding {one:.2f}, measures {other:.2f}, ratio {other / one:.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, default=Path("outputs/catalog_quality/shop"))
    parser.add_argument("--parents", type=int, default=1350, help="products of the shop: 15 pictures each")
    parser.add_argument("--images", type=int, default=20_000, help="of both halves")
    parser.add_argument("--half", choices=("tuning", "reporting"), default="reporting")
    parser.add_argument("--photos", type=Path, help="folder of real photos")
    parser.add_argument("--processes", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
