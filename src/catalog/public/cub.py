"""CUB-200-2011 (Wah, Branson, Welinder, Perona, Belongie: report CNS-TR-2011-001): 11,788 photos of 200 birds."""

from pathlib import Path

import pyarrow as pa

from src.catalog.public.listing import read_listing
from src.contracts.errors import CatalogueError

__all__ = ["read_cub"]

_TRAINING_CLASSES = 100
_LAYOUT = "CUB_200_2011 as published: images.txt, image_class_labels.txt, images/CLASS/NAME.jpg; set `data.root`"


def read_cub(root: Path) -> pa.Table:
    """Classes 1 to 100 train, 101 to 200 test; each photo is query and gallery (leave-one-out).

    Args:
        root: the folder that holds images.txt.

    Returns:
        Strings: `image_id` and `image` (the path), `item_id` (its folder: `001.Black_footed_Albatross`), `split`.

    Raises:
        CatalogueError: a file is missing or of another kind.
    """
    images = read_listing(root, "images.txt", fields=2, header=0, layout=_LAYOUT)
    labels = read_listing(root, "image_class_labels.txt", fields=2, header=0, layout=_LAYOUT)
    classes = dict(labels)
    problems = [
        f"image {number} has no class number in image_class_labels.txt"
        for number, _ in images
        if not classes.get(number, "").isdecimal()
    ]
    if problems:
        raise CatalogueError(str(root / "images.txt"), problems)
    paths = [f"images/{path}" for _, path in images]
    return pa.table(
        {
            "image_id": paths,
            "item_id": [path.split("/")[1] for path in paths],
            "image": paths,
            "split": ["train" if int(classes[number]) <= _TRAINING_CLASSES else "test" for number, _ in images],
        }
    )
