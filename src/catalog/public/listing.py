"""The text files that public sets list their images in."""

from pathlib import Path

from src.contracts.errors import CatalogueError

__all__ = ["read_listing"]


def read_listing(root: Path, name: str, *, fields: int, header: int, layout: str) -> list[list[str]]:
    """Split the lines of a file at white space.

    Args:
        root: the set's folder.
        name: the file, relative to it.
        fields: how many a line must have.
        header: lines to leave out at the top.
        layout: what the folder should look like, for the message.

    Returns:
        The fields of each line; empty lines are left out.

    Raises:
        CatalogueError: no such file, not text, or lines of another kind, each with its number.
    """
    try:
        lines = (root / name).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CatalogueError(str(root), [f"no {name} there ({error.strerror}); expected {layout}"]) from error
    except UnicodeDecodeError as error:
        raise CatalogueError(str(root / name), [f"not a text file ({error.reason})"]) from error
    rows = [(number, line.split()) for number, line in enumerate(lines[header:], header + 1) if line.strip()]
    problems = [f"line {number}: {len(row)} fields, expected {fields}" for number, row in rows if len(row) != fields]
    if not rows:
        problems = ["no lines"]
    if problems:
        raise CatalogueError(str(root / name), problems)
    return [row for _, row in rows]
