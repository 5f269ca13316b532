"""The opened bundle: pixels, vectors, items. All of it blocks; `serve.path.pipeline` runs it on threads."""

import io
import logging
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from serve.bundle.catalogue import Catalogue
from serve.bundle.filters import Filters
from serve.schemas import Result
from src.contracts.bundle import INDEX, Bundle, open_bundle
from src.contracts.errors import BundleError
from src.contracts.preprocessing import PreprocessingSpec, decode, resize
from src.export.runtime import EncoderRuntime, open_encoder
from src.index.best_items import search_items
from src.index.faiss_index import FaissIndex
from src.index.protocol import Searchable

__all__ = ["Engine", "Vectors"]

_IMAGES_OF_A_QUERY = 8
"""Images of an item that its similar items are searched with: each costs a search, and more show little that is new."""

_log = logging.getLogger("serve")


class Vectors(Searchable, Protocol):
    """Vectors that can be searched, and read row by row."""

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """See `FaissIndex.vectors`."""
        ...


class Engine:
    """Encoder, index and catalogue of one bundle. Safe to call from many threads.

    Attributes:
        bundle: what was opened.
        catalogue: its items.
        index: its vectors, row by row the catalogue's images.
        encoder: what embeds.
        runtime: what runs the encoder, in words.
    """

    def __init__(self, *, bundle: Bundle, encoder: EncoderRuntime, index: Vectors, catalogue: Catalogue) -> None:
        self.bundle = bundle
        self.catalogue = catalogue
        self.runtime = encoder.description
        self.encoder = encoder
        self.index = index
        self._spec: PreprocessingSpec = bundle.preprocessing

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        encoder_threads: int,
        runtime: str = "auto",
        precision: str = "f32",
        public_key: Path | None = None,
        mapped: bool = False,
    ) -> "Engine":
        """Verify a bundle, load it and warm it up.

        Args:
            path: the bundle's folder.
            encoder_threads: threads of one embedding; 0 takes all cores.
            runtime: `auto`, or what must run the encoder; see `open_encoder`.
            precision: its arithmetic on the CPU, `f32` or `bf16`.
            public_key: PEM file of the key that the bundle must be signed with; see `open_bundle`.
            mapped: map the index, so that processes share its memory. Its file may then be replaced, never written to.

        Raises:
            BundleError: the bundle is damaged, not signed with that key, or its parts do not belong together.
            LookalikeError: what must run the encoder cannot run here.
        """
        try:
            bundle = open_bundle(path, public_key=public_key)
        except OSError as error:  # A file of it that may not be read, or is no file.
            raise BundleError(f"bundle {path}: cannot read {error.filename} ({error.strerror})") from None
        index = FaissIndex.load(bundle.path(INDEX), mapped=mapped, **bundle.content["index"]["search"])
        encoder = open_encoder(bundle, runtime=runtime, precision=precision, threads=encoder_threads)
        engine = cls(bundle=bundle, encoder=encoder, index=index, catalogue=Catalogue.open(bundle))
        bundle.check_in_place()
        size = bundle.preprocessing.size
        if encoder.size != size:
            raise BundleError(f"bundle {path}: the encoder takes {encoder.size} pixels, its preprocessing makes {size}")
        dim = engine.embed(np.full((1, size, size, 3), 128, np.uint8)).shape[1]
        if not dim == index.dim == bundle.content["dim"]:
            raise BundleError(
                f"bundle {path}: encoder, index and manifest have dims {dim}, {index.dim}, "
                f"{bundle.content['dim']}; export it again"
            )
        if len(index) != len(engine.catalogue):
            raise BundleError(
                f"bundle {path}: {len(index)} vectors for {len(engine.catalogue)} images; export it again"
            )
        engine.warm_up()
        _log.info(
            "bundle %s: %d items, %d images, %s index, %s",
            bundle.bundle_id, engine.catalogue.items, len(index), index.layout, engine.runtime,
        )  # fmt: skip
        return engine

    def now(self) -> "Engine":
        """The engine of one search: rows keep their meaning from its beginning to its end."""
        return self

    def close(self) -> None:
        """Let go of what others may want to open; searches that still run go on."""

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """Decoded uint8 pixels of shape (height, width, 3) to what the encoder takes: (size, size, 3)."""
        return resize(pixels, self._spec)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of shape (images, size, size, 3) to normalised float32 vectors of shape (images, dim)."""
        return self.encoder.embed(pixels)

    def search(
        self, vector: np.ndarray, k: int, filters: Filters, *, offset: int = 0, dedupe: str = "item"
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best items for a vector.

        Args:
            vector: float32 of shape (dim,), normalised.
            k: results wanted.
            filters: conditions that they must meet.
            offset: better ones that are passed over.
            dedupe: `item`, the best image of each item is a result; `parent`, that of each product.

        Returns:
            Scores, float32, descending, and the rows of the images that reached them, int64: at most k of each.
        """
        allowed = self.catalogue.filters.mask(filters.conditions())
        scores, rows = search_items(self.index, vector, self._groups(dedupe), offset + k, allowed=allowed)
        return scores[offset:], rows[offset:]

    def similar(
        self, rows: np.ndarray, k: int, filters: Filters, *, offset: int = 0, dedupe: str = "item"
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k items that are nearest to any image of one item, the item itself left out.

        Args:
            rows: int64 array, the rows of the item's images; the first eight are asked.
            k: results wanted.
            filters: conditions that they must meet.
            offset: as in `search`.
            dedupe: likewise.

        Returns:
            As `search`.
        """
        allowed = self.catalogue.filters.mask(filters.conditions())
        if allowed is None:
            allowed = np.ones(len(self.index), dtype=bool)
        allowed[rows] = False
        group_of_row = self._groups(dedupe)
        # An item among the best over all images is among the best of the image that it is nearest to.
        found = [
            search_items(self.index, vector, group_of_row, offset + k, allowed=allowed)
            for vector in self.index.vectors(rows[:_IMAGES_OF_A_QUERY])
        ]
        scores = np.concatenate([scores for scores, _ in found])
        rows_found = np.concatenate([rows for _, rows in found])
        order = np.lexsort((rows_found, -scores))
        _, first = np.unique(group_of_row[rows_found[order]], return_index=True)
        best = order[np.sort(first)][offset : offset + k]
        return scores[best], rows_found[best]

    def described(self, found: tuple[np.ndarray, np.ndarray], *, offset: int = 0) -> list[Result]:
        """What `search` or `similar` found after so many others, as the API tells it."""
        return self.catalogue.results(*found, offset=offset)

    def _groups(self, dedupe: str) -> np.ndarray:
        return self.catalogue.parent_of_row if dedupe == "parent" else self.catalogue.item_of_row

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of some rows, float32 of shape (rows, dim), as the index has them."""
        return self.index.vectors(rows)

    def warm_up(self) -> None:
        """Take a grey photo through every stage: the first use of each library costs tens of milliseconds."""
        buffer = io.BytesIO()
        Image.new("RGB", (640, 480), (128, 128, 128)).save(buffer, "JPEG")
        pixels = self.resize(decode(buffer.getvalue()))
        self.described(self.search(self.embed(pixels[None])[0], 1, Filters()))
