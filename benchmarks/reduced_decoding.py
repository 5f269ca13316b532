"""JPEGs decoded at a reduced scale, beside all pixels: python -m benchmarks.reduced_decoding --data DIR --weights DIR.

The grocery photos have 224 pixels along a side, as few as the encoders take. So each is enlarged to the size of a
camera's picture (2 to 33 megapixels in turn) and encoded anew, once as it is and once with a camera's noise, since an
enlarged photo has no detail as fine as its pixels. Mosaics of the photos have it: only their embeddings are compared.
Nothing is kept on disk.
"""

import argparse
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from src.catalog.catalogue import Catalogue, open_catalogue
from src.commandline import composed
from src.contracts.exit_codes import exit_with_message
from src.contracts.image_header import read_header
from src.contracts.preprocessing import PreprocessingSpec, decode, preprocess
from src.contracts.settings import TrainSettings
from src.eval.checkpoint_comparison import Difference, compare_checkpoints
from src.models.encoder import build_encoder
from src.models.inference import embedder

Embed = Callable[[np.ndarray], np.ndarray]

_MEGAPIXELS = (2, 4, 8, 12, 16, 24, 33)
_MOSAICS = 63
_NOISE = 6.0
"""Standard deviation of a pixel's noise, of 255: a phone's at a high sensitivity."""

_SPEC = PreprocessingSpec(size=224, decoding="reduced")
_NETWORKS = {
    "MobileNetV2": ("mobilenetv2_100", "mobilenetv2_100_imagenet.safetensors", {"pad_type": "same"}),
    "ViT-Ti/16": ("vit_tiny_patch16_224", "vit_tiny_patch16_224.safetensors", {}),
}


@dataclass(frozen=True)
class _Pixels:
    """Pictures decoded both ways.

    Attributes:
        full: uint8 of shape (pictures, size, size, 3).
        reduced: likewise.
        seconds: float64 of shape (pictures, 2): CPU time of decoding and resizing, either way.
        megapixels: float64 of shape (pictures,).
    """

    full: np.ndarray
    reduced: np.ndarray
    seconds: np.ndarray
    megapixels: np.ndarray


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reduced_decoding", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the grocery catalogue")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the networks' weights")
    parser.add_argument("--photos", type=int, help="of the validation photos; all unless set")
    arguments = parser.parse_args()
    with exit_with_message():
        data = composed(TrainSettings, "train", "data=grocery", f"data.root={arguments.data}").data
        catalogue = open_catalogue(data)
        asking, answering = _rows(catalogue, arguments.photos)
        rows = np.concatenate([asking, answering])
        files = [catalogue.image_bytes(int(row)) for row in rows]
        sets = {
            what: _read(count, make, what)
            for what, count, make in (
                ("as they are", len(files), lambda number: files[number]),
                ("enlarged", len(files), lambda number: _enlarged(files[number], number, noise=0)),
                ("enlarged, with noise", len(files), lambda number: _enlarged(files[number], number, noise=_NOISE)),
                ("mosaics", _MOSAICS, lambda number: _mosaic(files, number)),
            )
        }
        networks = {name: _network(arguments.weights, *parts) for name, parts in _NETWORKS.items()}
        products = np.array(catalogue.column("item_id", rows))
        _print_embeddings(sets, networks, products, len(asking))
        _print_times(sets)


def _rows(catalogue: Catalogue, photos: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Photos that ask, evenly taken, and the catalogue images that answer."""
    asking = catalogue.query_rows("val")
    if photos is not None:
        asking = asking[np.linspace(0, len(asking) - 1, photos).round().astype(int)]
    return asking, catalogue.gallery_rows("val")


def _read(count: int, make: Callable[[int], bytes], what: str) -> _Pixels:
    full, reduced, seconds, megapixels = [], [], [], []
    for number in track(range(count), what, transient=True):
        data = make(number)
        header = read_header(data)
        pictures, times = [], []
        for spec in (replace(_SPEC, decoding="full"), _SPEC):
            start = time.thread_time()
            pictures.append(preprocess(data, spec))
            times.append(time.thread_time() - start)
        full.append(pictures[0])
        reduced.append(pictures[1])
        seconds.append(times)
        megapixels.append(header.width * header.height / 1e6)
    return _Pixels(np.stack(full), np.stack(reduced), np.array(seconds), np.array(megapixels))


def _enlarged(data: bytes, number: int, *, noise: float) -> bytes:
    """A photo with the pixels of a camera's: as many megapixels as its number says."""
    pixels = decode(data)
    factor = (_megapixels(number) * 1e6 * 3 / pixels.size) ** 0.5
    pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return _jpeg(_with_noise(pixels, number, noise))


def _mosaic(files: list[bytes], number: int) -> bytes:
    """As many whole photos as fill the megapixels, side by side at their own scale."""
    side = round((_megapixels(number) * 1e6) ** 0.5)
    sheet = Image.new("RGB", (side, side))
    rng = np.random.default_rng(number)
    for top in range(0, side, 224):
        for left in range(0, side, 224):
            sheet.paste(Image.fromarray(decode(files[rng.integers(len(files))])[:224, :224]), (left, top))
    return _jpeg(np.asarray(sheet))


def _megapixels(number: int) -> int:
    return _MEGAPIXELS[number % len(_MEGAPIXELS)]


def _with_noise(pixels: np.ndarray, seed: int, deviation: float) -> np.ndarray:
    if not deviation:
        return pixels
    height, width = pixels.shape[:2]
    tile = np.random.default_rng(seed).normal(0, deviation, (1024, 1024, 3)).round().astype(np.int8)
    grain = np.tile(tile, (-(-height // 1024), -(-width // 1024), 1))[:height, :width]
    # Saturating sums of bytes: an array of larger numbers would be several times the picture.
    return cv2.add(pixels, grain, dtype=cv2.CV_8U)


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _network(folder: Path, backbone: str, file: str, backbone_kwargs: Mapping[str, str]) -> Embed:
    weights = str(folder / file)
    encoder = build_encoder(
        spec=_SPEC, backbone=backbone, weights=weights, backbone_kwargs=backbone_kwargs, head="none"
    )
    embed = embedder(encoder)
    return lambda pixels: np.concatenate([embed(pixels[at : at + 32]) for at in range(0, len(pixels), 32)])


def _print_embeddings(
    sets: Mapping[str, _Pixels], networks: Mapping[str, Embed], products: np.ndarray, asking: int
) -> None:
    print("| pictures | network | cosine: mean | worst | Recall@1, full | reduced | difference |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for what, pixels in sets.items():
        for name, embed in networks.items():
            full, reduced = embed(pixels.full), embed(pixels.reduced)
            cosines = (full * reduced).sum(axis=1)
            found = ["", "", ""]
            if len(full) == len(products):
                hits = [_hits(vectors, products, asking) for vectors in (full, reduced)]
                difference = compare_checkpoints(hits[1][:, None], hits[0][:, None], products[:asking])[0]
                found = [f"{hits[0].mean():.3f}", f"{hits[1].mean():.3f}", _interval(difference)]
            print(f"| {what} | {name} | {cosines.mean():.5f} | {cosines.min():.4f} | {' | '.join(found)} |")


def _hits(vectors: np.ndarray, products: np.ndarray, asking: int) -> np.ndarray:
    """Whether the nearest catalogue image is of a photo's product: float64 of shape (photos,)."""
    nearest = (vectors[:asking] @ vectors[asking:].T).argmax(axis=1)
    return (products[asking:][nearest] == products[:asking]).astype(np.float64)


def _interval(difference: Difference) -> str:
    if difference.low is None or difference.high is None:
        return f"{difference.value:+.3f} ({difference.reason})"
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _print_times(sets: Mapping[str, _Pixels]) -> None:
    print("\n| pictures | megapixels | full: CPU ms a picture | reduced | times |\n| --- | ---: | ---: | ---: | ---: |")
    for what, pixels in sets.items():
        whole = np.unique(pixels.megapixels.round()) if pixels.megapixels.max() > 1 else np.zeros(0)
        groups = [(f"{size:.0f}", pixels.megapixels.round() == size) for size in whole]
        average = f"{pixels.megapixels.mean():.2g} on average"
        for label, chosen in [*groups, (average, np.ones(len(pixels.full), bool))]:
            full, reduced = 1e3 * pixels.seconds[chosen].mean(axis=0)
            print(f"| {what} | {label} | {full:.1f} | {reduced:.1f} | {full / reduced:.1f} |")


if __name__ == "__main__":
    main()
