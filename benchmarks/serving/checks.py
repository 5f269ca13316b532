"""What was found, what it may be, and whether it is."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Check", "as_table", "at_most", "failed"]


@dataclass(frozen=True)
class Check:
    """One line of a verdict.

    Attributes:
        what: was looked at.
        found: in words.
        limit: in words.
        holds: whether it is as it should be.
    """

    what: str
    found: str
    limit: str
    holds: bool


def at_most(what: str, found: float, limit: float, unit: str) -> Check:
    """A figure that must not be larger; NaN is."""
    return Check(what, f"{found:.1f} {unit}", f"at most {limit:.1f} {unit}", found <= limit)


def as_table(checks: Sequence[Check]) -> str:
    """Markdown."""
    lines = ["| what | found | limit | |", "| --- | --- | --- | --- |"]
    lines += [f"| {one.what} | {one.found} | {one.limit} | {'ok' if one.holds else '**FAILED**'} |" for one in checks]
    return "\n".join(lines)


def failed(checks: Sequence[Check]) -> bool:
    """Whether any does not hold."""
    return not all(one.holds for one in checks)
