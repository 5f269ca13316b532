"""In-shop Clothes Retrieval of DeepFashion (Liu, Luo, Qiu, Wang, Tang, CVPR 2016): 52,712 photos of 7,982 garments."""

from pathlib import Path

import pyarrow as pa

from src.catalog.public.listing import read_listing
from src.contracts.errors import CatalogueError

__all__ = ["read_inshop"]

_PARTITION = "list_eval_partition.txt"
_LAYOUT = (
    f"the benchmark as published: {_PARTITION} (or Eval/{_PARTITION}) and img/WOMEN/... (or Img/img/WOMEN/...); "
    "set `data.root`"
)
_STATUS = ("train", "query", "gallery")


def read_inshop(root: Path) -> pa.Table:
    """The published partition: training garments, and query and gallery photos of the other garments.

    Training photos have both roles, so that held-out training classes are evaluated by leave-one-out.

    Args:
        root: the folder that holds the partition file, or `Eval/` with it.

    Returns:
        `image_id` and `image` (the path), `item_id` (`id_00000001`), `category` (`WOMEN/Dresses`), `split`: strings;
        `is_query`, `is_gallery`: bool.

    Raises:
        CatalogueError: a file is missing or of another kind.
    """
    listing = _PARTITION if (root / _PARTITION).is_file() else f"Eval/{_PARTITION}"
    # A line with the number of images, and one with the names of the columns.
    rows = read_listing(root, listing, fields=3, header=2, layout=_LAYOUT)
    problems = [
        f"{path}: evaluation_status {status!r} is none of {', '.join(_STATUS)}"
        for path, _, status in rows
        if status not in _STATUS
    ]
    if problems:
        raise CatalogueError(str(root / listing), problems)
    prefix = "" if (root / "img").is_dir() else "Img/"
    images = [f"{prefix}{path}" for path, _, _ in rows]
    status = [status for _, _, status in rows]
    return pa.table(
        {
            "image_id": images,
            "item_id": [item for _, item, _ in rows],
            "image": images,
            "category": ["/".join(path.split("/")[1:3]) for path, _, _ in rows],
            "split": ["train" if of == "train" else "test" for of in status],
            "is_query": [of != "gallery" for of in status],
            "is_gallery": [of != "query" for of in status],
        }
    )
