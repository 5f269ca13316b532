"""A small bundle with norms and a drift reference, and photos as its reference has them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from src.contracts.bundle import DRIFT_REFERENCE, ENCODER, GOLDEN, INDEX
from src.contracts.drift_reference import input_statistics, thinned
from src.contracts.preprocessing import preprocess
from src.export.drift_reference import drift_reference, save_reference
from src.export.runtime import OnnxEncoder
from src.export.runtime.golden import write_golden
from src.index.faiss_index import FaissIndex
from tests.search.small_bundle import SPEC, Shop, catalogue, write_bundle, write_encoder

_BASE = np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8)


def photo(seed: int, *, brighter: float = 1.0, swapped: bool = False) -> bytes:
    """One picture with noise of its own: photos of other seeds are draws of one distribution."""
    rng = np.random.default_rng(seed)
    blocks = np.clip(brighter * (_BASE * 0.7 + rng.normal(0, 25, _BASE.shape)), 0, 255).astype(np.uint8)
    size = (96, 64) if rng.random() < 0.5 else (64, 96)
    picture = Image.fromarray(blocks[..., ::-1] if swapped else blocks).resize(size, Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_watched(root: Path, *, images: int = 600, items: int = 12) -> Shop:
    """The bundle; its reference is of `images` photos."""
    rows = catalogue(items)

    def further(folder: Path) -> None:
        write_encoder(folder / ENCODER, norms=True)
        encoder = OnnxEncoder(folder / ENCODER, threads=1)
        write_golden(folder / GOLDEN, SPEC, encoder.embed_with_norms)
        files = [photo(number) for number in range(images)]
        pixels = np.stack([preprocess(data, SPEC) for data in files])
        vectors, norms = encoder.embed_with_norms(pixels)
        sizes = [Image.open(io.BytesIO(data)).size for data in files]
        inputs = input_statistics(thinned(pixels), np.array(sizes))
        scores, best = FaissIndex.load(folder / INDEX).search(vectors, 1)
        categories = [rows[row]["category"] for row in best[:, 0]]
        reference = drift_reference(
            vectors,
            np.column_stack([norms, scores[:, 0], inputs]).astype(np.float32),
            categories,
            encoder_id="colour-grid",
        )
        save_reference(folder / DRIFT_REFERENCE, reference)

    return write_bundle(root, rows, further=further)
