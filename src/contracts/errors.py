"""The errors that a user can mend. The command lines print them without a traceback and exit with 2."""

from collections.abc import Sequence

__all__ = [
    "BundleError",
    "CatalogueError",
    "ConfigError",
    "FilterError",
    "GateError",
    "JournalError",
    "LookalikeError",
    "TableError",
    "UnavailableError",
]


class LookalikeError(ValueError):
    """Base class: the message names the value, the rule and the fix."""


class ConfigError(LookalikeError):
    """Settings that cannot work; the message lists all of them."""


class TableError(LookalikeError):
    """A table that does not keep its schema."""


class CatalogueError(LookalikeError):
    """Rows of a catalogue that cannot be used.

    Attributes:
        problems: one line a bad row, each with its row number.
    """

    SHOWN = 20

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        shown = "\n".join(f"  {problem}" for problem in self.problems[: self.SHOWN])
        rest = len(self.problems) - self.SHOWN
        more = f"\n  and {rest} more" if rest > 0 else ""
        super().__init__(f"{source}: {len(self.problems)} problem(s) found; nothing was started\n{shown}{more}")


class FilterError(LookalikeError):
    """A filter on a column that is not there, or with a value that does not suit it."""


class GateError(LookalikeError):
    """A measured figure missed its limit; the message says by how much."""


class BundleError(LookalikeError):
    """A bundle that is damaged, altered or not a bundle."""


class JournalError(LookalikeError):
    """Changes of items that cannot be kept, or not be read any longer."""


class UnavailableError(LookalikeError):
    """A server that is needed is away, late or refuses; the message names it without its password."""
