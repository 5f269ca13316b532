"""Reader for `root/label/*.jpg`: the folder's name is the item."""

from pathlib import Path

import pyarrow as pa

from src.contracts.errors import CatalogueError

__all__ = ["IMAGE_SUFFIXES", "read_folder"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def read_folder(root: Path) -> pa.Table:
    """List the images of a folder of folders.

    Args:
        root: holds one folder for each item; images in deeper folders belong to the same item.

    Returns:
        Table of strings with the columns `image_id`, `item_id` and `image` (relative to `root`), sorted by path.

    Raises:
        CatalogueError: there is no such folder, or no image in it.
    """
    if not root.is_dir():
        raise CatalogueError(str(root), ["no such folder; set `data.root`"])
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    relative = [path.relative_to(root) for path in paths]
    labelled = [path for path in relative if len(path.parts) > 1]
    if not labelled:
        raise CatalogueError(str(root), ["no images in folders named by item (expected root/label/name.jpg)"])
    images = [path.as_posix() for path in labelled]
    return pa.table({"image_id": images, "item_id": [path.parts[0] for path in labelled], "image": images})
