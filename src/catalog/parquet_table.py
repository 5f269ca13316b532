"""An items table that is one Parquet file, or a folder of them as Spark and others write it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from src.contracts.errors import CatalogueError

__all__ = ["read_parquet"]


def read_parquet(path: Path) -> pa.Table:
    """Read a file, or all Parquet files of a folder, whose parts may be partitions (`column=value/`).

    Args:
        path: the file or folder; names that begin with `.` or `_` are passed over.

    Raises:
        CatalogueError: files of a folder that are no Parquet or differ in their columns; it names file and column.
        OSError: the file cannot be read.
        pa.ArrowException: it is no Parquet file.
    """
    if not path.is_dir():
        return pq.read_table(path)
    whole = ds.dataset(path, format=ds.ParquetFileFormat(), partitioning="hive", exclude_invalid_files=False)
    if not whole.files:
        raise CatalogueError(str(path), ["cannot be read as CSV or Parquet: the folder holds no Parquet file"])
    schemas: dict[str, pa.Schema] = {}
    problems = []
    for file in whole.files:
        try:
            schemas[str(Path(file).relative_to(path))] = _plain(pq.read_schema(file))
        except (OSError, pa.ArrowException) as error:
            problems.append(f"{Path(file).relative_to(path)}: not a Parquet file ({error})")
    problems += _differences(schemas)
    if problems:
        raise CatalogueError(str(path), problems)
    schema = pa.unify_schemas([_plain(whole.schema), *schemas.values()], promote_options="permissive")
    return ds.dataset(path, schema=schema, format="parquet", partitioning="hive").to_table()


def _plain(schema: pa.Schema) -> pa.Schema:
    """Without dictionaries: whether a writer coded a column so may differ from file to file."""
    coded = pa.types.is_dictionary
    return pa.schema([field.with_type(field.type.value_type) if coded(field.type) else field for field in schema])


def _differences(schemas: dict[str, pa.Schema]) -> list[str]:
    """Columns that the first file has and another lacks, or has with a type that no type holds both of."""
    problems = []
    (first, expected), *others = schemas.items() or [("", pa.schema([]))]
    for file, schema in others:
        for name in dict.fromkeys([*expected.names, *schema.names]):
            if name not in schema.names or name not in expected.names:
                lacking, having = (file, first) if name in expected.names else (first, file)
                problems.append(f"{lacking}: no column {name!r}, which {having} has; write all files with it")
                continue
            ours, theirs = expected.field(name), schema.field(name)
            try:
                pa.unify_schemas([pa.schema([ours]), pa.schema([theirs])], promote_options="permissive")
            except pa.ArrowException:
                problems.append(
                    f"{file}: column {name!r} is {theirs.type}, but {ours.type} in {first}; write both as one type"
                )
    return problems
