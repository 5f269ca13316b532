"""The traits of a product: everything that its drawing follows from, colours aside."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Traits", "Value"]

Value = float | int | str


@dataclass(frozen=True)
class Traits:
    """Named values with typed access.

    Attributes:
        values: trait name -> number, count or word.
    """

    values: Mapping[str, Value]

    def num(self, name: str) -> float:
        """A continuous trait."""
        return float(self.values[name])

    def count(self, name: str) -> int:
        """A whole number."""
        return int(self.values[name])

    def word(self, name: str) -> str:
        """A kind."""
        return str(self.values[name])

    def differing(self, other: "Traits") -> list[str]:
        """Names of the traits in which two products differ."""
        names = sorted({*self.values, *other.values})
        return [name for name in names if self.values.get(name) != other.values.get(name)]

    def replaced(self, name: str, value: Value) -> "Traits":
        """The same traits but one."""
        assert name in self.values, name
        return Traits({**self.values, name: value})
