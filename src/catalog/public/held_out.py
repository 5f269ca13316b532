"""Hold out training classes for validation, for sets without a validation split."""

import hashlib

import pyarrow as pa

from src.contracts.errors import ConfigError

__all__ = ["hold_out_classes"]


def hold_out_classes(table: pa.Table, *, fraction: float, seed: int) -> pa.Table:
    """Move some of the training classes, all of their images, to the split `val`.

    A hash of the names and the seed chooses them; their number is exact.

    Args:
        table: `item_id` (the class) and `split`.
        fraction: share of the training classes to hold out.
        seed: of the choice.

    Raises:
        ConfigError: fewer than two classes would remain for training, or for validation.
    """
    items, splits = table["item_id"].to_pylist(), table["split"].to_pylist()
    classes = sorted({item for item, split in zip(items, splits, strict=True) if split == "train"})
    count = round(fraction * len(classes))
    if not 2 <= count <= len(classes) - 2:
        raise ConfigError(
            f"`data.val_fraction={fraction}` of {len(classes)} training classes holds out {count}; it takes at least 2 "
            "and leaves at least 2 to train on"
        )
    held_out = set(sorted(classes, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())[:count])
    moved = ["val" if item in held_out and s == "train" else s for item, s in zip(items, splits, strict=True)]
    return table.set_column(table.column_names.index("split"), "split", pa.array(moved))
