"""Is the growth law any good? Predict the sizes that it was not fitted to."""

from dataclasses import dataclass
from pathlib import Path

from src.contracts.errors import ConfigError
from src.index.capacity.figures import Figures, build_growth, query_growth

__all__ = ["GrowthCheck", "check_growth"]


@dataclass(frozen=True, kw_only=True)
class GrowthCheck:
    """What to check. See `--help` for the keys."""

    figures: Path = Path("outputs/capacity.json")
    upto: int = 100_000
    dim: int = 512


def check_growth(check: GrowthCheck, figures: Figures) -> str:
    """A Markdown table of predicted and measured times.

    Raises:
        ConfigError: no layout was measured at two sizes up to `upto` and one above.
    """
    lines = ["| layout | what | law | fitted to | vectors | predicted | measured | error |"]
    lines.append("| --- | --- | --- | --- | ---: | ---: | ---: | ---: |")
    for layout in dict.fromkeys(one.layout for one in figures.measured if one.dim == check.dim):
        measured = figures.of(layout, check.dim)
        known = [one for one in measured if one.rows <= check.upto]
        if len(known) < 2:
            continue
        fitted = f"{len(known)} sizes to {known[-1].rows:,}"
        for one in measured[len(known) :]:
            pairs = [("query", query_growth(known), one.mean_seconds)]
            # A vector is added to a flat storage by copying it.
            if not layout.startswith("exact"):
                pairs.append(("adding a vector", build_growth(known), one.build_seconds_per_vector))
            for what, law, true in pairs:
                predicted = law.at(one.rows)
                lines.append(
                    f"| {layout} | {what} | {law.law} | {fitted} | {one.rows:,} | {predicted * 1e3:.3f} ms | "
                    f"{true * 1e3:.3f} ms | {predicted / true - 1:+.0%} |"
                )
    if len(lines) == 2:
        raise ConfigError(
            f"`upto={check.upto}`: no layout was measured at two sizes up to that and at one above; "
            f"`python -m src.index.capacity measure figures={check.figures} sizes=...` adds some"
        )
    return "\n".join(lines)
