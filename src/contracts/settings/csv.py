"""Settings of CSV files: what separates fields, how characters are stored, which sign decimals have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DECIMALS", "DELIMITERS", "CsvSettings", "csv_problems", "delimiter_of"]

MISSING: Any = "???"

DELIMITERS: Mapping[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""Delimiters that are found by themselves, by their names; in a shell the names need no quotes."""

DECIMALS: Mapping[str, str] = {"point": ".", "comma": ","}
"""Decimal signs by their names."""


@dataclass
class CsvSettings:
    """How CSV files are written: the manifest and the file of splits.

    Attributes:
        delimiter: `comma`, `semicolon`, `tab`, `pipe` or one character; empty finds out which of the four separates the
            header's names.
        encoding: Python's name of an encoding, such as `cp1252`; empty takes UTF-8, and UTF-16 and UTF-32 where the
            file begins with their mark.
        decimal: `point` or `comma`, in prices and boxes.
    """

    delimiter: str = MISSING
    encoding: str = MISSING
    decimal: str = MISSING


def delimiter_of(setting: str) -> str:
    """The character that a setting means; empty where it is to be found out."""
    return DELIMITERS.get(setting, "\t" if setting == r"\t" else setting)


def csv_problems(csv: CsvSettings) -> list[str]:
    """What cannot work, a line each."""
    problems = []
    delimiter = delimiter_of(csv.delimiter)
    if len(delimiter) > 1 or not delimiter.isascii() or delimiter in ('"', "\n", "\r", "\0"):
        problems.append(
            f"`data.csv.delimiter={csv.delimiter}`: must be {', '.join(DELIMITERS)}, another ASCII character, or empty"
        )
    if csv.encoding and not _is_text_encoding(csv.encoding):
        problems.append(
            f"`data.csv.encoding={csv.encoding}`: no such encoding; name one of Python's, such as utf-8, cp1252, utf-16"
        )
    if csv.decimal not in DECIMALS:
        problems.append(f"`data.csv.decimal={csv.decimal}`: must be {' or '.join(DECIMALS)}")
    return problems


def _is_text_encoding(name: str) -> bool:
    try:
        return bool("a".encode(name))
    except (LookupError, ValueError):  # unknown, or from bytes to bytes as `base64` is
        return False
