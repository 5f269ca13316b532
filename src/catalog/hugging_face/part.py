"""One split of a Hugging Face data set: its rows in batches, and the types of its columns."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = ["Features", "Part", "schema_features"]

Features = Mapping[str, Any]
"""Column -> its feature as JSON: `{"_type": "Image"}`, `{"_type": "ClassLabel", "names": [...]}`, a list ..."""


@dataclass(frozen=True)
class Part:
    """Rows of one split.

    Attributes:
        split: the data set's name of it; None where it has none.
        features: of the columns; those that are unknown are left out.
        batches: reads the rows, some at a time. It raises `OSError` or Arrow's errors.
    """

    split: str | None
    features: Features
    batches: Callable[[], Iterator[pa.RecordBatch | pa.Table]]


def schema_features(schema: pa.Schema) -> Features:
    """The features that the package `datasets` writes into the schema of its Arrow and Parquet files."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}
