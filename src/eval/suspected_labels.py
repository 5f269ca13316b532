"""Suspected label errors: queries whose nearest results are of another item than their label says.

One model's mistake is a hard case. Where several models, trained in different ways, rank the same other item above
every image of the labelled one by a large margin, the label should be checked: the query's, or the found image's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from src.eval.listed_results import read_listed_results

__all__ = ["SuspectedLabel", "suspected_labels"]


@dataclass(frozen=True)
class SuspectedLabel:
    """A query, and another item that models rank above its own.

    Attributes:
        image_id: the query.
        item_id: its label.
        suspected_item_id: the item that ranks above the labelled one.
        found_image_id: the image of that item which the model with the greatest strength found.
        models: the models that rank it there.
        strength: mean of those models' margins, each in standard deviations of that model's margins over all queries.
        margin: mean of those models' margins, on the scale of the scores.
        same_product: whether the two items are variants of one product, which are easily confused.
    """

    image_id: str
    item_id: str
    suspected_item_id: str
    found_image_id: str
    models: tuple[str, ...]
    strength: float
    margin: float
    same_product: bool


@dataclass
class _Votes:
    """The models that rank one other item above a query's own, with their margins."""

    models: list[str]
    strengths: list[float]
    margins: list[float]
    images: list[str]
    same_product: bool


def suspected_labels(tables: Mapping[str, pa.Table], count: int) -> list[SuspectedLabel]:
    """The most suspicious labels: by the number of models, then by strength; at most one other item a query.

    A margin is the score of the other item's image minus the best positive's. Where no positive was listed, the last
    result's score takes its place, and the true margin is greater.

    Args:
        tables: by model, each of `src.eval.per_query`, all with the same queries in the same order.
        count: how many, at most.
    """
    votes: dict[tuple[int, str], _Votes] = {}
    for model, table in tables.items():
        _vote(votes, model, table)
    order = sorted(votes.items(), key=lambda vote: (-len(vote[1].models), -np.mean(vote[1].strengths), vote[0]))
    table = next(iter(tables.values()))
    images, items = table["image_id"], table["item_id"]
    found: dict[int, SuspectedLabel] = {}
    for (query, item), vote in order:
        if query in found or len(found) == count:
            continue
        found[query] = SuspectedLabel(
            image_id=images[query].as_py(),
            item_id=items[query].as_py(),
            suspected_item_id=item,
            found_image_id=vote.images[int(np.argmax(vote.strengths))],
            models=tuple(vote.models),
            strength=float(np.mean(vote.strengths)),
            margin=float(np.mean(vote.margins)),
            same_product=vote.same_product,
        )
    return list(found.values())


def _vote(votes: dict[tuple[int, str], _Votes], model: str, table: pa.Table) -> None:
    """Add one model's votes: each item that ranks above all positives, by its best image."""
    results = read_listed_results(table)
    first = results.first_misses()
    with_miss = np.flatnonzero(first >= 0)
    spread = float(np.std(results.scores[first[with_miss]] - results.hit_score[with_miss])) if len(with_miss) else 0.0
    seen = set()
    for place in np.flatnonzero(results.before_hit).tolist():
        query, item = int(results.query[place]), str(results.item_ids[place])
        if (query, item) in seen:
            continue
        seen.add((query, item))
        margin = float(results.scores[place] - results.hit_score[query])
        vote = votes.setdefault((query, item), _Votes([], [], [], [], bool(results.same_product[place])))
        vote.models.append(model)
        vote.margins.append(margin)
        vote.strengths.append(margin / spread if spread > 1e-9 else 0.0)
        vote.images.append(str(results.image_ids[place]))
