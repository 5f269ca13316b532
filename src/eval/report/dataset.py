"""Counts of the evaluated images, and equal files among them."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from src.catalog.catalogue import Catalogue
from src.eval.evaluation import Evaluation

__all__ = ["DatasetAudit", "audit_dataset"]


@dataclass(frozen=True)
class DatasetAudit:
    """Counts for the report.

    Attributes:
        counts: numbers of images, queries and items, by name.
        filled: share of rows in which each column of the items table has a value.
        gallery_images: (gallery images of an item, items that have so many), ascending.
        copies: pairs of a query and a gallery image of another item whose files are equal, by image id: at least one
            of the two labels is wrong.
        leaks: pairs of a query and a gallery image of the same item whose files are equal: trivial hits.
    """

    counts: dict[str, int]
    filled: dict[str, float]
    gallery_images: list[tuple[int, int]]
    copies: list[tuple[str, str]]
    leaks: list[tuple[str, str]]


def audit_dataset(catalogue: Catalogue, evaluation: Evaluation) -> DatasetAudit:
    """Count, and find equal files among queries and gallery by their SHA-256, with their boxes.

    Reads each file once; takes 32 bytes of memory an image.
    """
    queries, gallery = evaluation.queries, evaluation.gallery
    digests: dict[bytes, list[int]] = defaultdict(list)
    for place, image in enumerate(gallery.image_ids):
        digests[_digest(catalogue, catalogue.row_of[image])].append(place)
    copies: list[tuple[str, str]] = []
    leaks: list[tuple[str, str]] = []
    for image, item in zip(queries.image_ids, queries.item_ids, strict=True):
        for place in digests.get(_digest(catalogue, catalogue.row_of[image]), ()):
            if gallery.image_ids[place] != image:
                (leaks if gallery.item_ids[place] == item else copies).append((image, gallery.image_ids[place]))
    images = Counter(gallery.item_ids.tolist())
    answerable = evaluation.ranking.positives > 0
    evaluated = np.union1d(queries.image_ids, gallery.image_ids)
    table = catalogue.items.take([catalogue.row_of[image] for image in evaluated])
    return DatasetAudit(
        counts={
            "images in the catalogue": len(catalogue.items),
            "images evaluated": len(evaluated),
            "queries": len(queries),
            "queries without a positive": int((~answerable).sum()),
            "gallery images": len(gallery),
            "items in the gallery": len(images),
            "items of the queries": len(set(queries.item_ids)),
        },
        filled={name: 1 - table[name].null_count / len(table) for name in table.column_names},
        gallery_images=sorted(Counter(images.values()).items()),
        copies=copies,
        leaks=leaks,
    )


def _digest(catalogue: Catalogue, row: int) -> bytes:
    box = catalogue.box(row)
    return hashlib.sha256(catalogue.image_bytes(row) + (b"" if box is None else repr(box).encode())).digest()
