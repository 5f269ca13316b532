"""A bundle opened: an image in, items out."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from src.contracts.bundle import Bundle, open_bundle
from src.contracts.errors import BundleError, ConfigError, LookalikeError
from src.contracts.image_header import ImageFile
from src.contracts.preprocessing import MAX_PIXELS, preprocess, resize
from src.export.runtime import EncoderRuntime, open_encoder
from src.index.filters import Condition
from src.search.box import WHOLE, Box
from src.search.confidence import Confidence, Estimate
from src.search.gallery import Gallery, Hit
from src.search.milvus_place import MilvusPlace, collection_of

if TYPE_CHECKING:
    from src.search.milvus_gallery import MilvusGallery

__all__ = ["Searcher"]

_BATCH = 32

Query = bytes | Path | str | np.ndarray


class Searcher:
    """Encoder and gallery of one bundle. Safe to use from many threads at once.

    >>> searcher = Searcher.open("outputs/bundle")
    >>> hits = searcher.search("photo.jpg", k=3)
    >>> [hit.row["item_id"] for hit in hits]
    ['sku-0', 'sku-2', 'sku-11']
    >>> f"{hits[0].score:.2f}"
    '1.00'

    Filters are read from text by the type of the column, or made of `AnyOf` and `Between` (`src.index.filters`):

    >>> filters = [searcher.gallery.condition("price", ["..150"]), searcher.gallery.condition("color", ["red", "blue"])]
    >>> searcher.search("photo.jpg", k=3, filters=filters)[0].row["price"]
    50.04

    A part of the picture, an item instead of a picture, embeddings:

    >>> from src.search.box import Box
    >>> len(searcher.search("photo.jpg", k=2, box=Box.parse("0.25,0.25,0.5,0.5")))
    2
    >>> [hit.row["item_id"] for hit in searcher.similar("sku-0", k=2)]
    ['sku-2', 'sku-11']
    >>> vectors = searcher.embed(["photo.jpg", "photo.jpg"])
    >>> vectors.shape == (2, searcher.dim)
    True
    >>> searcher.search(vectors[0], k=1)[0].row["item_id"]
    'sku-0'

    Attributes:
        bundle: what was opened.
        gallery: what can be found; a `MilvusGallery` where the bundle names a Milvus collection.
        encoder: what embeds.
        size: side of the pictures that the encoder takes, in pixels.
        dim: of the embeddings.
        runtime: what runs the encoder, on what and in which arithmetic.
    """

    def __init__(self, *, bundle: Bundle, encoder: EncoderRuntime, gallery: "Gallery | MilvusGallery") -> None:
        self.bundle = bundle
        self.gallery = gallery
        self.encoder = encoder
        self.size = encoder.size
        self.dim = int(bundle.content["dim"])
        self.runtime = encoder.description
        self._spec = bundle.preprocessing
        self._confidence = Confidence.of_bundle(bundle)

    @classmethod
    def open(
        cls,
        bundle: Bundle | Path | str,
        *,
        runtime: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        batch: int = 8,
        public_key: Path | None = None,
        milvus: MilvusPlace | None = None,
    ) -> "Searcher":
        """Verify a bundle, load its encoder, map the rest, and warm it up.

        Args:
            bundle: its folder, or what `open_bundle` returned, which is not verified again. The folder may be replaced
                by a rename meanwhile, never written to.
            runtime: `auto`, or what must run the encoder; see `open_encoder`.
            precision: its arithmetic on the CPU; see `open_encoder`.
            threads: of one embedding; 0 takes all cores.
            batch: largest batch that will be embedded.
            public_key: PEM file of the key that the bundle must be signed with; see `open_bundle`.
            milvus: where the collection is that the bundle names; not used where its index is a file.

        Raises:
            BundleError: the bundle is damaged, not signed with that key, or its parts do not belong together.
            ConfigError: the bundle names a Milvus collection, and no place is given.
            LookalikeError: what must run the encoder cannot run here, or Milvus is away.
        """
        if not isinstance(bundle, Bundle):
            try:
                bundle = open_bundle(Path(bundle), public_key=public_key)
            except OSError as error:  # A file of it that may not be read, or is no file.
                raise BundleError(f"bundle {bundle}: cannot read {error.filename} ({error.strerror})") from None
        if (collection := collection_of(bundle)) and milvus is None:
            raise ConfigError(
                f"bundle {bundle.root}: its vectors are in the Milvus collection `{collection}`; name the server with "
                "--milvus-uri or LOOKALIKE_MILVUS_URI"
            )
        encoder = open_encoder(bundle, runtime=runtime, precision=precision, threads=threads, batch=batch)
        searcher = cls(bundle=bundle, encoder=encoder, gallery=_gallery(bundle, milvus))
        bundle.check_in_place()
        searcher._check()
        searcher._warm_up()
        return searcher

    def pixels(self, file: bytes | ImageFile, box: Box | None = None, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """Decode an image file, cut a part out and resize it: uint8 of shape (size, size, 3).

        Raises:
            ImageError: no image that can be read.
        """
        place = None if box is None else astuple(box)
        return preprocess(file, self._spec, box=place, max_pixels=max_pixels)

    def embed(self, images: Sequence[Query]) -> np.ndarray:
        """Embed images.

        Args:
            images: the bytes of image files, paths of image files, or decoded pictures, uint8 of shape (height, width,
                3).

        Returns:
            float32 of shape (images, dim), L2-normalised.

        Raises:
            ImageError: no image that can be read.
            OSError: no file that can be read.
        """
        parts = [
            self.embed_pixels(np.stack([self._picture(image, None) for image in images[start : start + _BATCH]]))
            for start in range(0, len(images), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)

    def embed_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Embed what `pixels` makes, uint8 of shape (images, size, size, 3): float32 of shape (images, dim)."""
        return self.encoder.embed(pixels)

    def search(
        self,
        query: Query,
        k: int = 10,
        *,
        filters: Sequence[Condition] = (),
        dedupe: str = "item",
        offset: int = 0,
        box: Box | None = None,
    ) -> list[Hit]:
        """The k items that look most like a picture.

        Args:
            query: the bytes of an image file, its path, a decoded picture (uint8 of shape (height, width, 3)), or an
                embedding (float32 of shape (dim,)).
            k: items wanted.
            filters: conditions that they must meet, all of them; see `Gallery.condition`.
            dedupe: `item`, or `parent`: one result for all items of a parent.
            offset: better ones that are passed over.
            box: the part of the picture that is searched for; None for all of it.

        Returns:
            At most k, best first.

        Raises:
            ImageError: no image that can be read.
            FilterError: a filter on a column that is not there, or that does not suit it.
            LookalikeError: an embedding that is not of this encoder's dimension, or with a box.
        """
        vector = self._embedding(query, box)
        return self.gallery.search(vector, k, filters=filters, dedupe=dedupe, offset=offset)

    def similar(
        self, item_id: str, k: int = 10, *, filters: Sequence[Condition] = (), dedupe: str = "item", offset: int = 0
    ) -> list[Hit]:
        """The k items that look most like an item; see `Gallery.similar`."""
        return self.gallery.similar(item_id, k, filters=filters, dedupe=dedupe, offset=offset)

    def describe(self, rows: Sequence[int] | np.ndarray) -> list[Mapping[str, Any]]:
        """All columns of some rows of the items table that a bundle can search by."""
        return list(self.gallery.items.described(rows))

    def _embedding(self, query: Query, box: Box | None) -> np.ndarray:
        if not isinstance(query, np.ndarray) or query.dtype == np.uint8:
            return self.embed_pixels(self._picture(query, box)[None])[0]
        if query.shape != (self.dim,) or query.dtype.kind != "f":
            raise LookalikeError(
                f"the query is {query.dtype} of shape {query.shape}; give a picture (uint8 of shape (height, width, "
                f"3)) or an embedding (float32 of shape ({self.dim},))"
            )
        if box is not None:
            raise LookalikeError(f"`box={box}`: an embedding has no parts; give the picture")
        return query.astype(np.float32)

    def estimate(self, hits: Sequence[Hit]) -> Estimate | None:
        """How far the first hit can be trusted.

        Args:
            hits: the result of a search with a whole photo, without filters, from the first item on.

        Returns:
            None for fewer than two hits, and where the bundle was exported without enough validation photos.
        """
        if self._confidence is None or len(hits) < 2:
            return None
        first, second = (hit.score or 0.0 for hit in hits[:2])
        return self._confidence.of(first, second)

    def _picture(self, image: Query, box: Box | None) -> np.ndarray:
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise LookalikeError(
                    f"the picture is {image.dtype} of shape {image.shape}; give uint8 of shape (height, width, 3)"
                )
            return self.resized(image, box)
        return self.pixels(image if isinstance(image, bytes) else Path(image).read_bytes(), box)

    def resized(self, pixels: np.ndarray, box: Box | None) -> np.ndarray:
        """Cut a part out of a decoded picture and resize it: uint8 of shape (size, size, 3)."""
        return resize((box or WHOLE).cut(pixels), self._spec)

    def _check(self) -> None:
        """Raise `BundleError` where encoder, index and preprocessing do not belong together."""
        path, size = self.bundle.root, self._spec.size
        if self.size != size:
            raise BundleError(f"bundle {path}: the encoder takes {self.size} pixels, its preprocessing makes {size}")
        dims = self.embed_pixels(np.full((1, size, size, 3), 128, np.uint8)).shape[1], self.gallery.index.dim, self.dim
        if len(set(dims)) > 1:
            raise BundleError(
                f"bundle {path}: encoder, index and manifest have dims {', '.join(map(str, dims))}; export it again"
            )

    def _warm_up(self) -> None:
        """Take a grey photo through every stage: the first use of each library costs tens of milliseconds."""
        buffer = io.BytesIO()
        Image.new("RGB", (640, 480), (128, 128, 128)).save(buffer, "JPEG")
        self.search(buffer.getvalue(), 1)


def _gallery(bundle: Bundle, milvus: MilvusPlace | None) -> "Gallery | MilvusGallery":
    if milvus is None or collection_of(bundle) is None:
        return Gallery.open(bundle)
    from src.search.milvus_gallery import MilvusGallery  # pymilvus takes seconds.

    return MilvusGallery.open(bundle, milvus)
