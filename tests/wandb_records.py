"""What a run of Weights & Biases wrote offline: the records of its .wandb file."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

__all__ = ["wandb_config", "wandb_history", "wandb_records"]


def wandb_records(path: Path) -> Iterator[wandb_internal_pb2.Record]:
    """The records of a .wandb file: LevelDB's log format (blocks of 32 KiB) behind a header of 7 bytes."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # what is left of a block is too short for a record's header
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a full record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


def wandb_config(path: Path) -> dict[str, Any]:
    """The run's config."""
    config: dict[str, Any] = {}
    for record in wandb_records(path):
        for updates in (record.run.config.update, record.config.update):
            config |= {update.key or "/".join(update.nested_key): json.loads(update.value_json) for update in updates}
    return config


def wandb_history(path: Path) -> dict[str, list[Any]]:
    """What was logged under each name, in order."""
    history: dict[str, list[Any]] = {}
    for record in wandb_records(path):
        for item in record.history.item:
            history.setdefault("/".join(item.nested_key) or item.key, []).append(json.loads(item.value_json))
    return history
