"""Measure a method of explanation, and the limits that it must reach."""

from dataclasses import dataclass

import numpy as np
from rich.progress import track

from src.eval.checkpoint_comparison import Difference, compare_checkpoints
from src.eval.evenly_spread import evenly_spread
from src.eval.explanations.masked_pairs import MaskedPairs
from src.eval.explanations.pairs import explain_pairs
from src.eval.explanations.pointing import centre_hits, energy_inside, pointing_hits
from src.eval.explanations.randomised import randomised_from_top, rank_correlation
from src.eval.intervals import Interval, cluster_intervals
from src.models.encoder import Encoder

__all__ = ["DomainCheck", "check_method", "failures"]

DOMAINS = ("user", "catalogue")
"""Of queries and of results, as the built-in shop assigns the roles."""

WHOLE_LIMIT = 0.5
"""Largest allowed correlation with the maps of a network whose layers are all randomised."""
PART_LIMIT = 0.9
"""Largest allowed correlation with the maps of a partly randomised network."""

_BLOCK = 32


@dataclass(frozen=True)
class DomainCheck:
    """The measurements of one method on one domain.

    Attributes:
        method: the method.
        domain: `user` or `catalogue`.
        pointing: pointing-game accuracy.
        random: share of the item in the area, which is the accuracy of random pixels.
        centre: accuracy of the image's centre.
        over_random: pointing minus random.
        over_centre: pointing minus centre.
        energy: share of the positive attribution on the item.
        destroyed_pointing: accuracy with all layers randomised.
        correlations: share of the layers that are randomised -> mean Spearman correlation with the maps before.
    """

    method: str
    domain: str
    pointing: Interval
    random: float
    centre: Interval
    over_random: Difference
    over_centre: Difference
    energy: Interval
    destroyed_pointing: float
    correlations: dict[str, float]


def check_method(encoder: Encoder, pairs: MaskedPairs, method: str, *, randomised: int) -> list[DomainCheck]:
    """Measure the pointing games and the correlation with randomised networks, on both sides of the pairs.

    Args:
        encoder: the encoder to explain.
        pairs: images and masks.
        method: see `explain_pairs`.
        randomised: number of pairs that are explained with randomised networks as well.
    """
    maps = _explain(encoder, pairs.pixels, method, method)
    few = evenly_spread(len(pairs.products), randomised)
    correlations: list[dict[str, float]] = [{}, {}]
    destroyed_pointing = [0.0, 0.0]
    for share, destroyed in randomised_from_top(encoder):
        again = _explain(destroyed, (pairs.pixels[0][few], pairs.pixels[1][few]), method, f"{share:.0%} destroyed")
        for side in range(2):
            correlations[side][f"{share:g}"] = float(rank_correlation(maps[side][few], again[side]).mean())
            destroyed_pointing[side] = float(pointing_hits(again[side], pairs.masks[side][few]).mean())
    found = []
    for side, domain in enumerate(DOMAINS):
        masks = pairs.masks[side]
        hits, centre, area = pointing_hits(maps[side], masks), centre_hits(masks), masks.mean(axis=(1, 2))
        values = np.column_stack([hits, centre, energy_inside(maps[side], masks)])
        pointing, centred, energy = cluster_intervals(values, pairs.products)
        over_random, over_centre = compare_checkpoints(
            np.column_stack([hits, hits]), np.column_stack([area, centre]), pairs.products
        )
        found.append(
            DomainCheck(
                method=method,
                domain=domain,
                pointing=pointing,
                random=float(area.mean()),
                centre=centred,
                over_random=over_random,
                over_centre=over_centre,
                energy=energy,
                destroyed_pointing=destroyed_pointing[side],
                correlations=correlations[side],
            )
        )
    return found


def failures(check: DomainCheck) -> list[str]:
    """The limits that these explanations miss, one line each; empty where they pass."""
    problems = []
    where = f"{check.method}, {check.domain}"
    for name, difference in (("random", check.over_random), ("centre", check.over_centre)):
        if difference.low is None or difference.low <= 0:
            ends = "no interval" if difference.low is None else f"{difference.low:+.3f} to {difference.high:+.3f}"
            problems.append(
                f"{where}: pointing accuracy minus the {name} baseline is {difference.value:+.3f} ({ends}); "
                "it must be above 0"
            )
    for share, value in check.correlations.items():
        limit = WHOLE_LIMIT if float(share) == 1 else PART_LIMIT
        if value > limit:
            problems.append(
                f"{where}: with {float(share):.0%} of the layers randomised the maps still correlate by {value:.2f}; "
                f"at most {limit} would show that they are read from the network"
            )
    return problems


def _explain(
    encoder: Encoder, pixels: tuple[np.ndarray, np.ndarray], method: str, what: str
) -> tuple[np.ndarray, np.ndarray]:
    starts = track(range(0, len(pixels[0]), _BLOCK), f"explaining: {what}", transient=True)
    parts = [
        explain_pairs(encoder, *(side[start : start + _BLOCK] for side in pixels), method=method) for start in starts
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
