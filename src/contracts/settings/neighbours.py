"""Settings of global hard negatives."""

from dataclasses import dataclass

from src.contracts.settings._problems import below

__all__ = ["NeighbourSettings", "neighbour_problems"]

_SAMPLER = "NeighbourhoodSampler"


@dataclass
class NeighbourSettings:
    """Global hard negatives: the training set is searched for confused items; `sampler=neighbours` takes them together.

    Attributes:
        every: epochs from one search to the next; 0 for none at all.
        first_epoch: epochs that are trained before the first search.
        count: items, of those nearest to an item, that may be drawn with it.
        skip: how many of the very nearest are left out before; they are often mislabelled.
    """

    every: int = 0
    first_epoch: int = 1
    count: int = 10
    skip: int = 0


def neighbour_problems(neighbours: NeighbourSettings, *, sampler: str, clicks: float, epochs: int) -> list[str]:
    """What cannot work, a line each.

    Args:
        neighbours: the settings.
        sampler: name of the sampler's class.
        clicks: weight of what is learned from clicks.
        epochs: of the training; 0 trains nothing.
    """
    problems = below(neighbours, "neighbours", {"every": 0, "first_epoch": 0, "count": 1, "skip": 0})
    if neighbours.every > 0 and sampler != _SAMPLER:
        problems.append(
            f"`neighbours.every={neighbours.every}`: {sampler} makes no batches of neighbours; set `sampler=neighbours`"
        )
    if neighbours.every > 0 and 0 < epochs <= neighbours.first_epoch:
        problems.append(
            f"`neighbours.first_epoch={neighbours.first_epoch}`: `trainer.epochs={epochs}` end before the first "
            "search; train longer, or search earlier"
        )
    if neighbours.every == 0 and clicks == 0 and sampler == _SAMPLER:
        problems.append(
            "`neighbours.every=0`: nothing finds neighbours for the sampler; set `neighbours.every=1`, or "
            "`clicks.weight=0.3` where there is a log"
        )
    return problems
