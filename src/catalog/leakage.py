"""Leakage between splits: training images that equal, or look like, images of validation or test."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from src.catalog.catalogue import Catalogue
from src.catalog.duplicates.fingerprints import fingerprints
from src.catalog.duplicates.nearest import nearest_duplicates
from src.contracts.atomic_file import atomic_file

__all__ = ["check_leakage", "find_leaks", "without"]

log = logging.getLogger(__name__)

_SHOWN = 5


def check_leakage(catalogue: Catalogue, *, leakage: str, cache: Path, table: Path) -> Catalogue:
    """Find leaks, log and list them, and remove them where the settings say so.

    Args:
        catalogue: with splits.
        leakage: `off`, `report` or `remove` (from the training split).
        cache: folder of the fingerprints' cache.
        table: CSV file to which leaks are written; no file is written where there are none.

    Returns:
        The catalogue; with `remove` without the leaks.
    """
    if leakage == "off":
        return catalogue
    leaks = find_leaks(catalogue, cache)
    if not leaks.num_rows:
        # A list of an earlier run in this folder.
        table.unlink(missing_ok=True)
        return catalogue
    with atomic_file(table) as temporary:
        pacsv.write_csv(leaks, temporary)
    same = pc.sum(leaks["same_file"]).as_py()
    done = "they are not trained on" if leakage == "remove" else "data.leakage=remove removes them from training"
    shown = [
        f"\n  {row['image']} ({row['item_id']}) and {row['twin_image']} ({row['twin_item_id']}, {row['twin_split']})"
        for row in leaks.slice(0, _SHOWN).to_pylist()
    ]
    log.warning(
        "%d training images are, or look like, images of validation or test (%d are the same file); %s; the list: %s%s",
        leaks.num_rows,
        same,
        done,
        table,
        "".join(shown),
    )
    return without(catalogue, leaks) if leakage == "remove" else catalogue


def find_leaks(catalogue: Catalogue, cache: Path) -> pa.Table:
    """Find training images that are, or look like, images of validation or test.

    An image that the catalogue assigns to all splits is not a leak itself; an image that looks like it is one.

    Args:
        catalogue: with splits.
        cache: folder of the fingerprints' cache.

    Returns:
        One row for each leak, nearest first: `row`, `image_id`, `item_id`, `image`, the same columns of the nearest
        image of validation or test (`twin_...`) with its split, `same_file`, and their `difference` in colour.
    """
    splits = catalogue.items["split"]
    trained = np.flatnonzero(pc.is_in(splits, pa.array(["train", "all"])).to_numpy())
    held_out = np.flatnonzero(pc.is_in(splits, pa.array(["val", "test", "held_out"])).to_numpy())
    prints = fingerprints(catalogue, np.concatenate([trained, held_out]), cache)
    ours, theirs = prints[: len(trained)], prints[len(trained) :]
    found, difference = nearest_duplicates(ours, theirs)
    leaking = np.flatnonzero(found >= 0)
    leaking = leaking[np.argsort(difference[leaking], kind="stable")]
    names = ["image_id", "item_id", "image"]
    one = catalogue.items.select(names).take(pa.array(trained[leaking]))
    twin = catalogue.items.select([*names, "split"]).take(pa.array(held_out[found[leaking]]))
    columns = {"row": pa.array(trained[leaking])}
    columns |= {name: one[name] for name in names} | {f"twin_{name}": twin[name] for name in twin.column_names}
    columns["same_file"] = pa.array(ours["file"][leaking] == theirs["file"][found[leaking]])
    columns["difference"] = pa.array(difference[leaking])
    return pa.table(columns)


def without(catalogue: Catalogue, leaks: pa.Table) -> Catalogue:
    """Remove the leaks' training images from training; images of all splits stay in the other splits."""
    splits = np.array(catalogue.items["split"].to_pylist(), dtype=object)
    rows = leaks["row"].to_numpy()
    splits[rows] = np.where(splits[rows] == "all", "held_out", "none")
    place = catalogue.items.column_names.index("split")
    return Catalogue(catalogue.items.set_column(place, "split", pa.array(splits, pa.string())), catalogue.root)
