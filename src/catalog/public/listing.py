"""Read the text files in which public sets list their images."""

import codecs
from pathlib import Path

from src.contracts.errors import CatalogueError

__all__ = ["read_listing"]


def read_listing(root: Path, name: str, *, fields: int, header: int, layout: str) -> list[list[str]]:
    """Split the lines of a file at white space, and check the number of fields.

    Args:
        root: the set's folder.
        name: the file, relative to it.
        fields: number of fields in a line.
        header: number of lines to skip at the top.
        layout: description of the expected folder, for the message.

    Returns:
        The fields of each line; empty lines are left out.

    Raises:
        CatalogueError: the file is missing or not text, or lines have another number of fields; it lists their numbers.
    """
    try:
        data = (root / name).read_bytes()
    except OSError as error:
        raise CatalogueError(str(root), [f"no {name} there ({error.strerror}); expected {layout}"]) from error
    lines, problems = [], []
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError as error:
            problems.append(f"line {number}: not a text file in UTF-8 ({error.reason}); save it as UTF-8")
    if problems:
        raise CatalogueError(str(root / name), problems)
    rows = [(number, line.split()) for number, line in enumerate(lines[header:], header + 1) if line.strip()]
    problems = [f"line {number}: {len(row)} fields, expected {fields}" for number, row in rows if len(row) != fields]
    if not rows:
        problems = ["no lines"]
    if problems:
        raise CatalogueError(str(root / name), problems)
    return [row for _, row in rows]
