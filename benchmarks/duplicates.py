"""Which edits of a picture are still found as its duplicate, by hash and by embedding: python -m benchmarks.duplicates.

Every picture is edited in each way, and the edit is compared with the picture. Different pictures are compared with
each other for false pairs. The cosine from which embeddings count is chosen on one half of the pictures, the largest
number of false pairs being `--false` of a million, and reported on the other half; the hashes' limits are fixed.

Beside ours: ImageHash's phash of 64 bits at 10 bits, which imagededup takes by default.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.duplicate_edits import EDITS, Described, described
from src.catalog.duplicates.band_plan import BandPlan
from src.catalog.duplicates.fingerprint import (
    FINGERPRINT,
    MAX_BITS,
    MAX_COLOURS,
    colour_difference,
)
from src.catalog.duplicates.perceptual_hash import hamming
from src.contracts.exit_codes import exit_with_message
from src.contracts.preprocessing import PreprocessingSpec
from src.shop import open_shop

_PHASH_BITS = 10


def main() -> None:
    """Print recall by edit and false pairs by method."""
    options = _parser().parse_args()
    with exit_with_message():
        paths = _paths(options)
        with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
            all_of = list(pool.map(partial(described, size=options.size), map(str, paths), chunksize=4))
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
