"""Which images of a split are queries and which are the gallery."""

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.errors import LookalikeError

__all__ = ["split_rows"]


def split_rows(catalogue: Catalogue, split: str, roles: str = "given") -> tuple[np.ndarray, np.ndarray]:
    """Rows of a split's queries and of its gallery, int64 each.

    Args:
        catalogue: whose rows.
        split: `train`, `val` or `test`.
        roles: `given` takes the catalogue's roles (where it has none: user photos are queries and catalogue images the
            gallery, or without domains each image is both); `user_to_catalogue` and `leave_one_out` set one of the two.

    Raises:
        LookalikeError: there are no queries or no gallery images.
    """
    queries, gallery = catalogue.query_rows(split), catalogue.gallery_rows(split)
    if roles != "given":
        queries = gallery = catalogue.split_rows(split)
    if roles == "user_to_catalogue":
        domains = catalogue.column("domain", queries)
        queries, gallery = queries[domains == "user"], gallery[domains == "catalogue"]
    if not len(queries) or not len(gallery):
        raise LookalikeError(
            f"split {split!r} has {len(queries)} queries and {len(gallery)} gallery images (`roles={roles}`), and both "
            "are needed; check `data.splits`, set `data.split_by=product`, or evaluate another split with `split=`"
        )
    return queries, gallery
