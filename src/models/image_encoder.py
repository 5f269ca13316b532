"""An encoder of images for programs: a checkpoint, a published encoder or a bundle, with its own preprocessing."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from src.contracts.bundle import MANIFEST
from src.contracts.preprocessing import PreprocessingSpec, decode, preprocess, resize
from src.contracts.trust import import_trusted
from src.models import checkpoint
from src.models.inference import embedder
from src.search import Searcher

__all__ = ["ImageEncoder", "load_encoder"]

Picture = Path | str | bytes | np.ndarray | Image.Image

_BATCH = 32


class ImageEncoder:
    """Embeds images.

    Attributes:
        dim: dimension of the embeddings.
        spec: how pixels are made from images.
    """

    def __init__(self, embed: Callable[[np.ndarray], np.ndarray], *, dim: int, spec: PreprocessingSpec) -> None:
        self._embed = embed
        self.dim = dim
        self.spec = spec

    def embed(self, images: Sequence[Picture]) -> np.ndarray:
        """Embed images, in batches of 32.

        Args:
            images: paths or bytes of image files, pictures of Pillow, or decoded ones: uint8 of shape (height, width,
                3). A picture of Pillow that was opened from a large JPEG is resized from all of its pixels, a file from
                a reduced scale (`PreprocessingSpec.decoding`); their embeddings differ a little.

        Returns:
            float32 of shape (images, dim), L2-normalised.

        Raises:
            ImageError: no image that can be read.
            OSError: no file that can be read.
        """
        parts = [
            self._embed(np.stack([self._pixels(image) for image in images[start : start + _BATCH]]))
            for start in range(0, len(images), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)

    def _pixels(self, image: Picture) -> np.ndarray:
        if isinstance(image, np.ndarray):
            return resize(image, self.spec)
        if isinstance(image, Image.Image):
            return resize(_decoded(image), self.spec)
        return preprocess(image if isinstance(image, bytes) else Path(image).read_bytes(), self.spec)


def load_encoder(path: Path | str, *, trust: Sequence[str] = ()) -> ImageEncoder:
    """Load an encoder, on the GPU if there is one.

    Args:
        path: a checkpoint of train.py, the folder of a published encoder, or a bundle.
        trust: packages that are imported first, for an encoder whose backbone or head is theirs.

    Raises:
        LookalikeError: none of these, or one that cannot be read.
    """
    path = Path(path)
    if (path / MANIFEST).is_file():
        searcher = Searcher.open(path, batch=_BATCH)
        return ImageEncoder(searcher.embed_pixels, dim=searcher.dim, spec=searcher.bundle.preprocessing)
    import_trusted(trust)
    encoder, spec, _ = checkpoint.load_encoder(path, setting="path")
    return ImageEncoder(embedder(encoder), dim=encoder.dim, spec=spec)


def _decoded(image: Image.Image) -> np.ndarray:
    """The pixels of a picture of Pillow, as `decode` makes them of a file."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "RGB" and not upright.has_transparency_data:
        return np.asarray(upright)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
    buffer = io.BytesIO()
    upright.save(buffer, "TIFF")
    return decode(buffer.getvalue())
