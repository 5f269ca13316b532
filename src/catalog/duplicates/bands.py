"""What plans of bands find and cost, as a table: python -m src.catalog.duplicates.bands."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from src.catalog.duplicates.band_plan import BandPlan
from src.catalog.duplicates.perceptual_hash import BITS
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what plans find and cost."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        plans = [BandPlan(bands=bands, radius=radius) for bands in options.bands for radius in options.radius]
        if wrong := [bits for bits in options.bits if not 0 <= bits <= BITS]:
            raise ConfigError(f"--bits {wrong[0]}: must lie in 0..{BITS}")
        Console(width=max(100, 30 + 12 * (len(options.bits) + len(options.images)))).print(_table(plans, options))


def _table(plans: Sequence[BandPlan], options: argparse.Namespace) -> Table:
    table = Table(title="probability of finding a pair, and images compared with each image", title_justify="left")
    columns = [f"{bits} bits" for bits in options.bits] + [f"of {images:.0e}" for images in options.images]
    for name in ("bands", "radius", "rows", "sure to", *columns):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        found = [f"{plan.probability(bits):.3f}" for bits in options.bits]
        compared = [f"{plan.expected_candidates(images):,.3g}" for images in options.images]
        rows = f"{plan.bands} x {len(plan.masks)}"
        table.add_row(f"{plan.bands} of {plan.width}", f"{plan.radius}", rows, f"{plan.guaranteed}", *found, *compared)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.catalog.duplicates.bands",
        description="What banded hashes find and cost: bands, rows that an image stores and asks with, the bits up to "
        "which every pair is found, the probability beyond, and how many images are compared with each.",
    )
    parser.add_argument("--bands", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--radius", type=int, nargs="+", default=[0, 1], help="0, 1 or both")
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 8, 16, 24, 31, 40], help="differing bits of 256")
    parser.add_argument("--images", type=float, nargs="+", default=[1e5, 1e6, 1e8], help="in the catalogue")
    return parser


if __name__ == "__main__":
    main()
