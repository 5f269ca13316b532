"""Rows to train on: labels with what was known by their time: python -m src.pipelines.training_set LABELS --facts ...

Labels are rows with a time, for instance an interactions log. Facts are tables of what is known about images or
items: the embeddings table, or any Delta table or Parquet files with a key, `event_at` and `created_at`. Where a table
of facts has them, an integer column `version` decides between equal times, and a boolean column `deleted` marks
tombstones. The output has a row for each label, in their order, with the facts' columns after its own, named
NAME_column.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable

from src.contracts.atomic_file import atomic_file
from src.contracts.errors import ConfigError, TableError
from src.contracts.exit_codes import exit_with_message
from src.pipelines.embeddings_table import open_embeddings
from src.pipelines.point_in_time import PointInTime, join_in_duckdb
from src.pipelines.store import utc_time

__all__ = ["main"]

_METADATA = b"lookalike.training_set"
"""In the output's metadata: what was read, and how it was joined."""


@dataclass(frozen=True)
class _Facts:
    """A table of facts of the command line.

    Attributes:
        name: begins the names of its columns in the output.
        rows: of one encoder, if they are embeddings.
        address: folder or address.
        keys: the labels' key and the facts'.
        version: of a Delta table.
    """

    name: str
    rows: ds.Dataset
    address: str
    keys: tuple[str, str]
    version: int | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Join the tables of facts one after the other, write the rows, and say for how many labels facts were found."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        as_of = None if options.as_of is None else utc_time("--as-of", options.as_of)
        tables = [_opened(*words, encoder_id=options.encoder) for words in options.facts]
        names = [facts.name for facts in tables]
        if len(set(names)) < len(names):
            raise ConfigError(f"`--facts {' '.join(names)}`: two tables have one name; it begins the names of columns")
        rows = _labels(options.labels)
        count = rows.num_rows
        print(f"{count} labels in {options.labels}", flush=True)
        read: dict[str, object] = {"labels": {"address": options.labels, "rows": count}}
        for facts in tables:
            join = _join(facts, at=options.at, hindsight=options.hindsight, as_of=as_of)
            rows = join_in_duckdb(rows, facts.rows, join, memory_limit=options.memory)
            found = count - rows[f"{facts.name}_created_at"].null_count
            print(f"{facts.name}: found for {found} ({found / max(count, 1):.1%}) in {facts.address}", flush=True)
            read[facts.name] = {"address": facts.address, "version": facts.version, "found": found}
        about = {"read": read, "at": options.at, "hindsight": options.hindsight, "as_of": options.as_of}
        metadata = {**(rows.schema.metadata or {}), _METADATA: json.dumps(about)}
        with atomic_file(Path(options.output)) as temporary:
            pq.write_table(rows.replace_schema_metadata(metadata), temporary)
        print(f"{count} rows in {options.output}")


def _labels(address: str) -> pa.Table:
    try:
        return pq.read_table(address)
    except (OSError, pa.ArrowException) as error:
        raise TableError(
            f"{address}: cannot be read as Parquet ({error}); name the file or folder of labels"
        ) from error


def _opened(name: str, address: str, key: str, *, encoder_id: str | None) -> _Facts:
    label_key, _, fact_key = key.partition("=")
    version = None
    try:
        if not Path(address).is_file() and DeltaTable.is_deltatable(address):
            table = open_embeddings(address)
            rows, version = table.to_pyarrow_dataset(), table.version()
        else:
            rows = ds.dataset(address, format="parquet")
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{name}: {address} is neither a Delta table nor Parquet ({error})") from error
    if "encoder_id" in rows.schema.names:
        if encoder_id is None:
            raise ConfigError(f"{name}: {address} has column encoder_id; name one with --encoder, they are never mixed")
        rows = rows.filter(pc.field("encoder_id") == encoder_id)
    return _Facts(name, rows, address, (label_key, fact_key or label_key), version)


def _join(facts: _Facts, *, at: str, hindsight: bool, as_of: datetime | None) -> PointInTime:
    schema, (label_key, fact_key) = facts.rows.schema, facts.keys

    def named(name: str, is_kind: Callable[[pa.DataType], bool]) -> str | None:
        return name if name in schema.names and is_kind(schema.field(name).type) else None

    version, deleted = named("version", pa.types.is_integer), named("deleted", pa.types.is_boolean)
    return PointInTime(
        keys=(label_key,),
        fact_keys=(fact_key,),
        at=at,
        columns=tuple(name for name in schema.names if name not in (fact_key, version, deleted)),
        prefix=f"{facts.name}_",
        version=version,
        deleted=deleted,
        hindsight=hindsight,
        as_of=as_of,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.pipelines.training_set",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("labels", metavar="LABELS", help="Parquet file or folder")
    parser.add_argument(
        "--facts",
        action="append",
        required=True,
        nargs=3,
        metavar=("NAME", "TABLE", "KEY"),
        help="a table of facts; KEY is a column of both, or LABELS_COLUMN=FACTS_COLUMN; may be repeated",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="Parquet file to write")
    parser.add_argument("--at", default="event_at", metavar="COLUMN", help="the labels' times")
    parser.add_argument("--encoder", metavar="ID", help="encoder_id, where facts are embeddings")
    parser.add_argument("--as-of", metavar="TIME", help="leave out facts that were created later")
    parser.add_argument("--hindsight", action="store_true", help="use facts before they were known, to compare")
    parser.add_argument("--memory", metavar="SIZE", help='of DuckDB, for instance "4GB"; the rest goes to disk')
    return parser


if __name__ == "__main__":
    main()
