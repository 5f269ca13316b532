"""Read a CSV file (RFC 4180) as text, whatever its size, delimiter and encoding."""

import codecs
import logging
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from src.contracts.errors import CatalogueError
from src.contracts.settings.csv import DELIMITERS, delimiter_of

__all__ = ["read_csv"]

log = logging.getLogger(__name__)

# UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LARGEST_BLOCK = 2**30
_END = "\x1f"
"""Stands in each field of a row that is added at the end: without it, a quotation mark was not closed."""

_UNCLOSED = "a quotation mark that opens there is never closed"

_QUOTED = re.compile(r'"[^"]*(?:"|$)')
_LINE_BREAKS = re.compile(r"[\r\n]+")


def read_csv(path: Path, *, delimiter: str = "", encoding: str = "") -> pa.Table:
    """Read a CSV file with a header; quoted fields may hold delimiters and line breaks.

    Args:
        path: the file; it is read whole.
        delimiter: as in `CsvSettings`; empty takes the one of `DELIMITERS` that stands most often in the header.
        encoding: as in `CsvSettings`; empty takes UTF-8, or what the file's byte-order mark says.

    Returns:
        Columns of strings, null where a field is empty.

    Raises:
        CatalogueError: another encoding, rows of another number of fields than the header (all are listed), or a
            quotation mark that is never closed.
        OSError: the file cannot be read.
    """
    text = _decoded(path, encoding)
    # Excel's own way to name the delimiter, in a line before the header.
    named = re.match(r'"?sep=(.)"?\r?\n', text)
    if named:
        text, delimiter = text[named.end() :], delimiter or named[1]
    header = next((line for line in _LINE_BREAKS.split(_QUOTED.sub("", text[: 2**20])) if line), "")
    delimiter = delimiter_of(delimiter) or max(DELIMITERS.values(), key=header.count)
    if delimiter != ",":
        log.info("%s: fields are separated by %r", path, delimiter)
    if not text.strip("\r\n"):
        raise CatalogueError(str(path), ["is empty; its first line must name the columns"])
    _check_quotes(path, text, delimiter)
    columns, problems = _parse(text, delimiter, columns=header.count(delimiter) + 1)
    rows = len(columns[0])
    if not problems and columns[0][-1].as_py() != _END:
        problems = [f"row {rows - 1}: {_UNCLOSED}"]
    if problems:
        raise CatalogueError(f"{path}, read with the delimiter {delimiter!r} (`data.csv.delimiter`)", problems)
    names = [column[0].as_py() or "" for column in columns]
    return pa.Table.from_arrays([column.slice(1, rows - 2) for column in columns], names)


def _parse(text: str, delimiter: str, *, columns: int) -> tuple[list[pa.ChunkedArray], list[str]]:
    """All rows, the header and the added one among them; and the rows of another number of fields than the header."""
    problems = []

    def refuse(row: pacsv.InvalidRow) -> str:
        shown = row.text.replace("\n", " ")[:80]
        counts = f"{row.actual_columns} fields, but the header has {row.expected_columns}"
        wrong = f"{counts}; quote what holds delimiters: {shown}"
        problems.append(f"row {row.number - 1}: {_UNCLOSED if _END in row.text else wrong}")
        return "skip"

    end = delimiter.join([_END] * columns)
    data = f"{text}\n{end}\n".encode()
    table = pacsv.read_csv(
        pa.BufferReader(data),
        # Rows have numbers where one thread reads them. In one block no row is cut.
        read_options=pacsv.ReadOptions(
            use_threads=False, autogenerate_column_names=True, block_size=min(len(data), _LARGEST_BLOCK)
        ),
        parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse),
        convert_options=pacsv.ConvertOptions(
            column_types={f"f{number}": pa.string() for number in range(columns)},
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    if table.num_columns != columns:
        # Quotation marks inside of the header's names: the first count was a guess.
        return _parse(text, delimiter, columns=table.num_columns)
    return table.columns, problems


def _check_quotes(path: Path, text: str, delimiter: str) -> None:
    """Refuse text after a field's closing quotation mark: most often another mark was forgotten, and rows are lost."""
    field = re.compile(rf'(?:\A|[\r\n{re.escape(delimiter)}])"[^"]*(?:""[^"]*)*"')
    for found in field.finditer(text):
        if text[found.end() : found.end() + 1] not in ("", "\r", "\n", delimiter):
            place = _place(text[: found.end()])
            shown = text[max(found.start(), found.end() - 40) : found.end() + 20].strip().replace("\n", " ")
            raise CatalogueError(
                str(path),
                [f"{place}: text follows a closing quotation mark; double the marks inside of a field: ...{shown}..."],
            )


def _place(before: str) -> str:
    """The row in which a text ends, in words; line breaks in quotes are none."""
    row = len([line for line in _LINE_BREAKS.split(_QUOTED.sub("x", before) + "x") if line]) - 1
    return f"row {row}" if row else "the header"


def _decoded(path: Path, encoding: str) -> str:
    with pa.input_stream(str(path)) as file:  # which also reads .gz, .bz2 and .zst
        data: bytes = file.read()
    found = encoding or next((name for mark, name in _MARKS if data.startswith(mark)), "") or _without_mark(data)
    try:
        return data.decode(found).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        place = _place(data[: error.start].decode(found, "ignore"))
        fix = (
            "save it as UTF-8, or name its encoding with `data.csv.encoding=...`, such as cp1252 for Excel's on Windows"
        )
        raise CatalogueError(
            str(path), [f"{place}: byte 0x{data[error.start]:02x} is not {found.upper()} ({error.reason}); {fix}"]
        ) from error


def _without_mark(data: bytes) -> str:
    """UTF-16 has a zero in each pair of bytes of a header, UTF-8 has none."""
    if 0 in data[:2] and len(data) > 1:
        return "utf-16-be" if data[0] == 0 else "utf-16-le"
    return "utf-8"
