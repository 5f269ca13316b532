"""Which edits of a picture are still found as its duplicate, by hash and by embedding: python -m benchmarks.duplicates.

Every picture is edited in each way, and the edit is compared with the picture. Different pictures are compared with
each other for false pairs. The cosine from which embeddings count is chosen on one half of the pictures, the largest
number of false pairs being `--false` of a million, and reported on the other half; the hashes' limits are fixed.

Beside ours: ImageHash's phash of 64 bits at 10 bits, which imagededup takes by default.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from src.catalog.duplicates.band_plan import BandPlan
from src.catalog.duplicates.fingerprint import (
    FINGERPRINT,
    MAX_BITS,
    MAX_COLOURS,
    colour_difference,
    fingerprint_of,
)
from src.catalog.duplicates.perceptual_hash import dihedral_hashes, hamming
from src.catalog.reduced_picture import reduced_picture
from src.contracts.exit_codes import exit_with_message
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.shop import open_shop

Edit = Callable[[Image.Image], bytes]

_PHASH_BITS = 10


def _saved(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": 85} if form == "JPEG" and not options else options))
    return buffer.getvalue()


def _resized(image: Image.Image, scale: float) -> Image.Image:
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _cropped(image: Image.Image, share: float) -> bytes:
    """Without this share of its surface; the middle is left."""
    keep = (1 - share) ** 0.5
    x, y = image.width * (1 - keep) / 2, image.height * (1 - keep) / 2
    return _saved(image.crop((round(x), round(y), round(image.width - x), round(image.height - y))))


def _watermarked(image: Image.Image) -> bytes:
    marked = image.convert("RGBA")
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(image.height // 8)
    for line in range(3):
        place = (image.width // 12, image.height * (1 + 3 * line) // 10)
        ImageDraw.Draw(layer).text(place, "shop.example", (255, 255, 255, 110), font)
    return _saved(Image.alpha_composite(marked, layer).convert("RGB"))


def _strong(image: Image.Image) -> bytes:
    """In the manner of Copydays' strong attacks: seen at an angle, blurred, paler, with scribble, of few colours."""
    width, height = image.size
    corners = (0.06 * width, 0.03 * height, 0, height, width, 0.94 * height, 0.95 * width, 0)
    seen = image.transform(image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    seen = ImageEnhance.Contrast(seen.filter(ImageFilter.GaussianBlur(max(width, height) / 200))).enhance(0.7)
    draw = ImageDraw.Draw(seen)
    for number in range(3):
        draw.line([(0, height * number // 3), (width, height * (number + 1) // 4)], (20, 20, 160), max(2, width // 80))
    return _saved(seen, quality=30)


def _of(function: Callable[..., Image.Image], *arguments: object) -> Edit:
    return lambda image: _saved(function(image, *arguments))


EDITS: dict[str, Edit] = {
    "the same as PNG": lambda image: _saved(image, "PNG"),
    "the same as WebP": lambda image: _saved(image, "WEBP", quality=80),
    **{f"scaled to {scale:g}": _of(_resized, scale) for scale in (2, 0.5, 0.3)},
    **{f"JPEG {quality}": partial(lambda i, q: _saved(i, quality=q), q=quality) for quality in (75, 50)},
    **{
        f"Copydays: 1/16 of the pixels, JPEG {quality}": partial(
            lambda i, q: _saved(_resized(i, 0.25), quality=q), q=quality
        )
        for quality in (75, 50, 30, 20, 15, 10, 8, 5, 3)
    },
    "brighter by 20 %": lambda image: _saved(ImageEnhance.Brightness(image).enhance(1.2)),
    "contrast at 80 %": lambda image: _saved(ImageEnhance.Contrast(image).enhance(0.8)),
    **{
        f"cropped by {share:.0%}": partial(_cropped, share=share)
        for share in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    },
    "Copydays: strong": _strong,
    **{
        f"turned by {angle} degrees": _of(lambda i, a: i.rotate(a, Image.Resampling.BICUBIC), angle)
        for angle in (2, 5, 25)
    },
    **{
        f"white border of {share:.0%}": _of(lambda i, s: ImageOps.expand(i, int(i.width * s), "white"), share)
        for share in (0.05, 0.1)
    },
    "watermark": _watermarked,
    "mirrored": _of(ImageOps.mirror),
    "upside down": _of(ImageOps.flip),
    **{f"turned by {angle}": _of(lambda i, a: i.rotate(a, expand=True), angle) for angle in (90, 180, 270)},
    "transposed": _of(lambda i: i.transpose(Image.Transpose.TRANSPOSE)),
    "transversed": _of(lambda i: i.transpose(Image.Transpose.TRANSVERSE)),
    "palette of 64 colours": lambda image: _saved(image.quantize(64), "PNG"),
    "CMYK": lambda image: _saved(image.convert("CMYK"), quality=90),
    "with an alpha channel": lambda image: _saved(image.convert("RGBA"), "PNG"),
    "black and white, 1 bit": lambda image: _saved(image.convert("1"), "PNG"),
    "grey": lambda image: _saved(image.convert("L")),
    "red and blue exchanged (another product)": lambda image: _saved(
        Image.merge("RGB", [image.getchannel(name) for name in "BGR"])
    ),
}


@dataclass(frozen=True)
class Described:
    """What is known of one file: fingerprint, the eight views' hashes, phash, pixels for the encoder."""

    print: np.ndarray
    views: np.ndarray
    phash: np.ndarray
    pixels: np.ndarray


def main() -> None:
    """Print recall by edit and false pairs by method."""
    options = _parser().parse_args()
    with exit_with_message():
        paths = _paths(options)
        with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
            all_of = list(pool.map(partial(_described, size=options.size), map(str, paths), chunksize=4))
        embed = _embedder(options)
        vectors = embed(np.stack([each.pixels for files in all_of for each in files]))
        vectors = vectors.reshape(len(paths), 1 + len(EDITS), -1)
        tuned, reported = np.arange(0, len(paths), 2), np.arange(1, len(paths), 2)
        least = _threshold(vectors[tuned, 0], options.false)
        print(_table([all_of[n] for n in reported], vectors[reported], least, BandPlan()))
        print(_false_pairs([all_of[n][0] for n in reported], vectors[reported, 0], least))


def _paths(options: argparse.Namespace) -> list[Path]:
    """As many of the shop as of the photos."""
    table = open_shop(options.shop, parents=options.parents, seed=1, image_size=256, sessions=0)
    groups = [[options.shop / image for image in table["image"].to_pylist()]]
    if options.photos:
        groups.append(sorted(options.photos.rglob("*.jpg")))
    rng = np.random.default_rng(0)
    share = options.images // len(groups)
    return [group[n] for group in groups for n in rng.permutation(len(group))[:share]]


def _described(path: str, size: int) -> list[Described]:
    """The picture, and its edits."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    return [_describe(data, size) for data in (Path(path).read_bytes(), *(edit(image) for edit in EDITS.values()))]


def _describe(data: bytes, size: int) -> Described:
    pixels = reduced_picture(data)
    spec = PreprocessingSpec(size=size, resize="squash")
    phash = np.packbits(imagehash.phash(Image.fromarray(pixels)).hash)
    return Described(fingerprint_of(pixels, data), dihedral_hashes(pixels), phash, preprocess(data, spec))


def _embedder(options: argparse.Namespace) -> Callable[[np.ndarray], np.ndarray]:
    from src.models.encoder import build_encoder
    from src.models.inference import embedder

    arguments = {"pad_type": "same"} if options.backbone.startswith("mobilenetv2") else {}
    spec = PreprocessingSpec(size=options.size, resize="squash")
    encoder = build_encoder(
        spec=spec, backbone=options.backbone, weights=options.weights or None, backbone_kwargs=arguments, head="none"
    )
    embed = embedder(encoder)
    return lambda pixels: np.concatenate([embed(pixels[n : n + 64]) for n in range(0, len(pixels), 64)])


def _threshold(vectors: np.ndarray, false: float) -> float:
    """The cosine that so many of a million pairs of different pictures exceed; more than half of a pair at least."""
    cosines = np.sort((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)])[::-1]
    return float(cosines[min(len(cosines) - 1, int(false * len(cosines) / 1e6))])


def _table(files: Sequence[Sequence[Described]], vectors: np.ndarray, least: float, plan: BandPlan) -> str:
    lines = [
        f"{len(files)} pictures; embeddings from a cosine of {least:.3f}",
        f"| edit | bits, median | {MAX_BITS} bits | and colours | by bands | eight views | phash 64 | embedding |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    first = [each[0] for each in files]
    own, colours = _stacked(first)
    for number, name in enumerate(EDITS, start=1):
        edited = [each[number] for each in files]
        bits, shades = _stacked(edited)
        apart = hamming(own, bits)
        same = colour_difference(colours, shades) <= MAX_COLOURS
        values = [plan.values(each)[:, :, None] ^ np.array(masks) for each, masks in ((own, plan.masks), (bits, (0,)))]
        banded = (values[0] == values[1]).any(axis=(1, 2))
        views = hamming(np.stack([each.views for each in edited]), own[:, None]).min(axis=1)
        phash = hamming(np.stack([each.phash for each in edited]), np.stack([each.phash for each in first]))
        cosines = (vectors[:, 0] * vectors[:, number]).sum(axis=1)
        found = (
            apart <= MAX_BITS,
            (apart <= MAX_BITS) & same,
            (apart <= MAX_BITS) & same & banded,
            (views <= MAX_BITS),
            phash <= _PHASH_BITS,
            cosines >= least,
        )
        cells = " | ".join(f"{each.mean():.3f}" for each in found)
        lines.append(f"| {name} | {np.median(apart):.0f} | {cells} |")
    return "\n".join(lines)


def _false_pairs(first: Sequence[Described], vectors: np.ndarray, least: float) -> str:
    """How many pairs of different pictures each method takes for duplicates."""
    a, b = np.triu_indices(len(first), 1)
    bits, colours = _stacked(first)
    near = hamming(bits[a], bits[b]) <= MAX_BITS
    alike = np.zeros(len(a), bool)
    alike[near] = colour_difference(colours[a[near]], colours[b[near]]) <= MAX_COLOURS
    views = np.stack([each.views for each in first])
    turned = np.any([hamming(views[a, number], bits[b]) <= MAX_BITS for number in range(8)], axis=0)
    phash = np.stack([each.phash for each in first])
    found = {
        f"{MAX_BITS} bits": near,
        "and colours": alike,
        "eight views": turned,
        "phash 64": hamming(phash[a], phash[b]) <= _PHASH_BITS,
        "embedding": (vectors[a] * vectors[b]).sum(axis=1) >= least,
    }
    count = len(first)
    told = "; ".join(f"{name} {each.sum()} ({count / (count + each.sum()):.3f})" for name, each in found.items())
    return f"\nof {len(a):,} pairs of different pictures (precision with one copy of each picture): {told}"


def _stacked(files: Sequence[Described]) -> tuple[np.ndarray, np.ndarray]:
    prints = np.array([each.print for each in files], FINGERPRINT)
    return prints["bits"], prints["colours"].reshape(len(files), -1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", type=Path, default=Path("outputs/duplicates/shop"))
    parser.add_argument("--parents", type=int, default=60, help="products of the shop: 15 pictures each")
    parser.add_argument("--photos", type=Path, help="folder of real photos, for half of the pictures")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument(
        "--weights", default="../shared/weights/mobilenetv2_100_imagenet.safetensors", help="empty: new ones"
    )
    parser.add_argument("--size", type=int, default=224, help="of the pictures that are embedded, in pixels")
    parser.add_argument("--false", type=float, default=20, help="pairs of a million that embeddings may invent")
    parser.add_argument("--processes", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
