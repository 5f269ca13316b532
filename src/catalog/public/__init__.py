"""Readers of the four public benchmark sets of metric learning, in their published folder layouts.

The protocols are class-disjoint: test classes are not trained on. The sets have no validation split, and most published
results were selected on test; here whole training classes are held out for validation (`held_out`).
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
