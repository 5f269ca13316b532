"""Stanford Online Products (Song, Xiang, Jegelka, Savarese, CVPR 2016): 120,053 photos of 22,634 products from eBay."""

from pathlib import Path

import pyarrow as pa

from src.catalog.public.listing import read_listing

__all__ = ["read_sop"]

_LAYOUT = (
    "Stanford_Online_Products as published: Ebay_train.txt, Ebay_test.txt, bicycle_final/*.JPG ...; set `data.root`"
)


def read_sop(root: Path) -> pa.Table:
    """Products of Ebay_train.txt train, those of Ebay_test.txt test; each photo is query and gallery.

    Args:
        root: the folder that holds Ebay_train.txt.

    Returns:
        Strings: `image_id` and `image` (the path), `item_id` (the class number), `category` (of twelve), `split`.

    Raises:
        CatalogueError: a file is missing or of another kind.
    """
    columns: dict[str, list[str]] = {"image_id": [], "item_id": [], "image": [], "category": [], "split": []}
    for split in ("train", "test"):
        for _, product, _, path in read_listing(root, f"Ebay_{split}.txt", fields=4, header=1, layout=_LAYOUT):
            values = (path, product, path, path.split("/")[0].removesuffix("_final"), split)
            for name, value in zip(columns, values, strict=True):
                columns[name].append(value)
    return pa.table(columns)
