"""Readers of the four public sets that metric learning is compared on, in the folder layouts that they come in.

The protocols are class-disjoint: no class that is searched at test was trained on. The sets have no validation split,
and the published figures were mostly chosen on test; here whole training classes are held out instead (`held_out`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from src.catalog.public.cars import read_cars
from src.catalog.public.cub import read_cub
from src.catalog.public.inshop import read_inshop
from src.catalog.public.sop import read_sop

__all__ = ["PUBLIC_READERS"]

PUBLIC_READERS: Mapping[str, Callable[[Path], pa.Table]] = {
    "cars": read_cars,
    "cub": read_cub,
    "inshop": read_inshop,
    "sop": read_sop,
}
"""`data.reader` -> the function that reads a set's folder: `image_id`, `item_id`, `image`, `split` (train, test)."""
