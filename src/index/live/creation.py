"""A new live index on the disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from src.contracts.errors import ConfigError, LookalikeError
from src.index.live.changes import Upsert, make_upsert
from src.index.live.durable import sync_folder
from src.index.live.generation import CURRENT, GenerationFacts, publish, remove_leftovers
from src.index.live.log import LogWriter, segment_path, segments
from src.index.live.merge import build_generation
from src.index.live.settings import LiveSettings
from src.index.live.writer_lock import WriterLock

__all__ = ["create_folder"]


def create_folder(
    folder: Path,
    image_ids: Sequence[str],
    item_ids: Sequence[str],
    vectors: np.ndarray,
    attributes: Mapping[str, pa.Array],
    settings: LiveSettings,
) -> None:
    """Write generation 0 and an empty log; `CURRENT` comes last, so there is never half a live index.

    Arguments and errors are those of `LiveIndex.create`.
    """
    rows = _checked_rows(image_ids, item_ids, vectors, attributes)
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder)
    try:
        if (folder / CURRENT).exists():
            raise ConfigError(f"{folder}: holds a live index; open it, or name another folder")
        _refuse_data(folder)
        remove_leftovers(folder, None)
        facts = GenerationFacts(0, 0, 0, len(rows.vectors), vectors.shape[1], settings, 1.0)
        build_generation(folder, facts, iter([rows.vectors]), pa.Table.from_batches([rows.rows]))
        LogWriter(segment_path(folder, 0)).close()
        sync_folder(folder)
        publish(folder, 0)
    finally:
        lock.release()


def _refuse_data(folder: Path) -> None:
    """What a killed creation leaves holds no change, and goes; a log with changes is somebody's index."""
    if any(number or segment_path(folder, number).stat().st_size for number in segments(folder)):
        raise ConfigError(
            f"{folder}: holds the log of a live index whose {CURRENT} is missing; restore it from a copy, or name "
            "another folder"
        )


def _checked_rows(
    image_ids: Sequence[str], item_ids: Sequence[str], vectors: np.ndarray, attributes: Mapping[str, pa.Array]
) -> Upsert:
    reserved = [name for name in attributes if name in ("image_id", "item_id") or name.startswith("_")]
    if reserved:
        raise ConfigError(f"attributes {', '.join(reserved)}: these names are the index's own; rename them")
    # The log holds record batches alone, and a dictionary stands outside of its batch.
    attributes = {
        name: values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values
        for name, values in attributes.items()
    }
    fields = [pa.field(name, pa.string(), nullable=False) for name in ("image_id", "item_id")]
    schema = pa.schema(fields + [pa.field(name, values.type) for name, values in attributes.items()])
    rows = make_upsert(schema, vectors.shape[1], image_ids, item_ids, vectors, attributes)
    if len(rows.vectors) < len(image_ids):
        raise LookalikeError(f"{len(image_ids) - len(rows.vectors)} image_ids stand twice; each may stand once")
    return rows
