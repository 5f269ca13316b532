"""Whether the service's explanations lie on the object, where the object is known, and what they cost.

    python -m benchmarks.serving.explanations --bundle DIR --shop data/shop [--pairs 200]

Takes user photos of the built-in shop with the item that each finds first, right or wrong, and compares both maps
with the shop's masks: the share of the positive part inside the object (energy-based pointing game; Wang et al., 2020)
beside that of a Gaussian in the centre and the object's share of the area, and the pointing game (Zhang et al., 2016)
beside the centre. Sanity: the correlation of a photo's map with that for another item, and with that of an encoder
whose answers are drawn anew (a random projection of the pixels).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from rich.progress import track

from serve.path.occlusion import covered, losses
from src.catalog.catalogue import Catalogue
from src.contracts.bundle import INDEX, ITEMS_TABLE, open_bundle
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.eval.explanations.masks import read_masks
from src.eval.explanations.pointing import centre_hits, energy_inside, pointing_hits
from src.export.runtime import open_encoder
from src.index.faiss_index import FaissIndex

Embed = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--shop", type=Path, required=True, help="the shop's folder that the bundle is of")
    parser.add_argument("--pairs", type=int, default=200)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    encoder = open_encoder(bundle, runtime="auto", precision="f32", threads=1)
    index = FaissIndex.load(bundle.path(INDEX), **bundle.content["index"]["search"])
    gallery = pq.read_table(bundle.path(ITEMS_TABLE))["image_id"].to_pylist()
    shop = Catalogue(items=pq.read_table(options.shop / "items.parquet"), root=options.shop)
    row_of = {name: row for row, name in enumerate(shop.items["image_id"].to_pylist())}
    users = np.flatnonzero(np.array(shop.items["domain"].to_pylist()) == "user")
    users = users[np.linspace(0, len(users) - 1, min(options.pairs, len(users))).astype(int)]
    random_embed = _random_projection(encoder.size)
    maps: list[list[np.ndarray]] = [[], []]
    others, drawn, seconds = [], [], []
    rows: list[list[int]] = [[], []]
    for user in track(users, "explaining", transient=True):
        pixels = _pixels(shop, user, bundle.preprocessing)
        query = encoder.embed(pixels[None])[0]
        found = int(index.search(query[None], 1, None)[1][0, 0])
        item = row_of[gallery[found]]
        item_pixels, target = _pixels(shop, item, bundle.preprocessing), index.vectors(np.array([found]))[0]
        started = time.perf_counter()
        of_query = encoder.embed(covered(pixels))
        maps[0].append(losses(of_query, target)[1])
        maps[1].append(losses(encoder.embed(covered(item_pixels)), query)[1])
        seconds.append(time.perf_counter() - started)
        others.append(losses(of_query, index.vectors(np.array([(found + len(gallery) // 2) % len(gallery)]))[0])[1])
        drawn.append(losses(random_embed(covered(pixels)), random_embed(item_pixels[None])[0])[1])
        for place, row in enumerate((int(user), item)):
            rows[place].append(row)
    print(f"{len(users)} photos of {options.shop}, bundle {bundle.bundle_id[:12]}, {encoder.description}")
    print(f"{'':10} {'inside':>8} {'gaussian':>9} {'area':>6} {'pointing':>9} {'centre':>7}")
    for name, side, found_rows in (("photo", maps[0], rows[0]), ("item", maps[1], rows[1])):
        masks = read_masks(shop, np.array(found_rows), bundle.preprocessing)
        large = np.array([_enlarged(one, encoder.size) for one in side])
        gaussian = np.broadcast_to(_gaussian(encoder.size), masks.shape)
        print(
            f"{name:10} {energy_inside(large, masks).mean():>8.3f} {energy_inside(gaussian, masks).mean():>9.3f} "
            f"{masks.mean():>6.3f} {pointing_hits(large, masks).mean():>9.3f} {centre_hits(masks).mean():>7.3f}"
        )
    print(f"correlation with the map for another item {_correlation(maps[0], others):.2f}, ", end="")
    print(f"with a random projection in the encoder's place {_correlation(maps[0], drawn):.2f}")
    print(f"{1000 * float(np.median(seconds)):.0f} ms an explanation (median), 100 embeddings")


def _pixels(shop: Catalogue, row: int, spec: PreprocessingSpec) -> np.ndarray:
    return preprocess((shop.root / str(shop.items["image"][int(row)].as_py())).read_bytes(), spec)


def _random_projection(size: int) -> Embed:
    weights = np.random.default_rng(0).standard_normal((size * size * 3, 64)).astype(np.float32)

    def embed(pixels: np.ndarray) -> np.ndarray:
        vectors = (pixels.reshape(len(pixels), -1).astype(np.float32) - 128) @ weights
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return embed


def _enlarged(cells: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(cells.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))


def _gaussian(size: int) -> np.ndarray:
    """The centre baseline: a bell of a quarter of the side."""
    square = ((np.arange(size) - (size - 1) / 2) / (size / 4)) ** 2
    return np.exp(-(square[:, None] + square[None]) / 2)


def _correlation(maps: list[np.ndarray], others: list[np.ndarray]) -> float:
    """Mean of Pearson's correlation, map by map."""
    pairs = zip(maps, others, strict=True)
    return float(np.mean([np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]))


if __name__ == "__main__":
    main()
