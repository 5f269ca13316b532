"""Reader for a folder of folders of images: the name of the upper folder is the item."""

import logging
from pathlib import Path

import pyarrow as pa

from src.catalog.folder_walk import LeftOut, walk_images
from src.contracts.errors import CatalogueError

__all__ = ["read_folder"]

log = logging.getLogger(__name__)


def read_folder(root: Path) -> pa.Table:
    """List the images of a folder of folders.

    A file is an image if its first bytes say so, whatever its name. Links are followed, each folder is read once, and
    what is hidden is passed over. The log says what was left out and why.

    Args:
        root: holds one folder for each item; images in deeper folders belong to the same item.

    Returns:
        Table of strings with the columns `image_id`, `item_id` and `image` (relative to `root`), sorted by path.

    Raises:
        CatalogueError: there is no such folder, or no image in it; it says what is there instead.
    """
    try:
        found = root.is_dir()
    except OSError as error:
        raise CatalogueError(str(root), [f"not readable ({error.strerror}); set `data.root`"]) from error
    if not found:
        raise CatalogueError(str(root), ["no such folder; set `data.root`"])
    left_out = LeftOut()
    labelled = []
    for path in walk_images(root, left_out):
        if len(path) > 1:
            labelled.append(path)
        else:
            left_out.add("images in no item's folder", path[0])
    if not labelled:
        there = left_out.described() or "no files"
        raise CatalogueError(
            str(root), [f"no images in folders named by item (expected root/label/name.jpg); found: {there}"]
        )
    if left_out:
        log.warning("%s: %d images are read; left out: %s", root, len(labelled), left_out.described())
    images = ["/".join(path) for path in labelled]
    return pa.table({"image_id": images, "item_id": [path[0] for path in labelled], "image": images})
