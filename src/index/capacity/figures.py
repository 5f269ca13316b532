"""What was measured on a machine: a JSON file that measuring writes and planning reads."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.contracts.atomic_file import write_atomically
from src.contracts.errors import ConfigError
from src.index.capacity.growth import Growth, fit_growth

__all__ = ["Figures", "Measured", "QUANTILES"]

QUANTILES: np.ndarray = (np.arange(200) + 0.5) / 200
"""The quantiles of a query's time that are kept."""


@dataclass(frozen=True)
class Measured:
    """An index of one layout and size.

    Attributes:
        layout: as `FaissIndex.build` names it.
        rows: vectors.
        dim: numbers in a vector.
        bytes_per_vector: of its file, which is about what it takes in memory.
        build_seconds_per_vector: on one thread.
        query_seconds: one query, one thread, nothing beside it: quantiles at `QUANTILES`.
        busy_factor: a query's time with every core searching over its time alone: caches and memory are shared.
        recall_at_10: against exact search.
        queries: how many were timed.
    """

    layout: str
    rows: int
    dim: int
    bytes_per_vector: float
    build_seconds_per_vector: float
    query_seconds: tuple[float, ...]
    busy_factor: float
    recall_at_10: float
    queries: int

    @property
    def mean_seconds(self) -> float:
        """Mean time of a query."""
        return float(np.mean(self.query_seconds))


@dataclass(frozen=True)
class Figures:
    """All that a file holds.

    Attributes:
        machine: what it was measured on, and with what.
        measured: in the order of measuring.
    """

    machine: dict[str, Any]
    measured: tuple[Measured, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Figures":
        """Open a file; raises `ConfigError` where it is not one."""
        try:
            data = json.loads(path.read_text())
            rows = tuple(
                Measured(**{**one, "query_seconds": tuple(map(float, one["query_seconds"]))})
                for one in data["measured"]
            )
            if any(not (one.rows > 0 and one.mean_seconds > 0 and one.bytes_per_vector > 0) for one in rows):
                raise ValueError("a figure that is not positive")
            return cls(dict(data["machine"]), rows)
        except FileNotFoundError:
            raise ConfigError(
                f"{path}: no such file; `python -m src.index.capacity measure figures={path}` writes it"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a file of measured figures ({error}); measure again") from None

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        content = {"machine": self.machine, "measured": [asdict(one) for one in self.measured]}
        write_atomically(path, json.dumps(content, indent=1))

    def of(self, layout: str, dim: int) -> list[Measured]:
        """One layout's figures, by size; raises `ConfigError` where there are none."""
        found = sorted(
            (one for one in self.measured if (one.layout, one.dim) == (layout, dim)), key=lambda one: one.rows
        )
        if not found:
            there = ", ".join(sorted({f"layout={one.layout} dim={one.dim}" for one in self.measured})) or "nothing"
            raise ConfigError(f"`layout={layout}`, `dim={dim}`: not measured; the file has {there}")
        return found


def query_growth(measured: list[Measured]) -> Growth:
    """How a query's mean time grows: linearly where every vector is compared, else by the law that predicts best."""
    laws = ("linear",) if measured[0].layout.startswith("exact") else ("power", "logarithm")
    return fit_growth([one.rows for one in measured], [one.mean_seconds for one in measured], laws)  # type: ignore[arg-type]


def build_growth(measured: list[Measured]) -> Growth:
    """How the time to add one vector grows."""
    rows, seconds = [one.rows for one in measured], [one.build_seconds_per_vector for one in measured]
    return fit_growth(rows, seconds, ("power", "logarithm"))  # type: ignore[arg-type]
