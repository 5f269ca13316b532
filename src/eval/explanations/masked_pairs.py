"""Pairs of images with known masks, on which explanations are checked."""

from dataclasses import dataclass

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels
from src.eval.evaluation import evaluate_split
from src.eval.evenly_spread import evenly_spread
from src.eval.explanations.masks import read_masks
from src.models.encoder import Encoder
from src.models.inference import embedder

__all__ = ["MaskedPairs", "read_pairs"]


@dataclass(frozen=True)
class MaskedPairs:
    """Queries with their best results; pixels and masks of both sides.

    Attributes:
        pixels: of the queries and of the results, uint8 of shape (pairs, size, size, 3) each.
        masks: bool of shape (pairs, size, size) each.
        products: the query's product, shape (pairs,); the unit of the intervals.
    """

    pixels: tuple[np.ndarray, np.ndarray]
    masks: tuple[np.ndarray, np.ndarray]
    products: np.ndarray


def read_pairs(
    catalogue: Catalogue, split: str, encoder: Encoder, spec: PreprocessingSpec, *, limit: int
) -> MaskedPairs:
    """Queries of a split, evenly spread, each with its first result, right or wrong.

    Args:
        catalogue: with masks.
        split: the split.
        encoder: the encoder that ranks.
        spec: the preprocessing.
        limit: most pairs.
    """
    evaluation = evaluate_split(catalogue, split, spec, embedder(encoder))
    chosen = evenly_spread(len(evaluation.queries), limit)
    images = evaluation.queries.image_ids[chosen], evaluation.gallery.image_ids[evaluation.ranking.top_rows[chosen, 0]]
    rows = [np.array([catalogue.row_of[image] for image in side], dtype=np.int64) for side in images]
    pixels = [np.concatenate(list(iterate_pixels(catalogue, side, spec, batch=64))) for side in rows]
    masks = [read_masks(catalogue, side, spec) for side in rows]
    products = evaluation.per_query["product"].to_numpy()[chosen]
    return MaskedPairs((pixels[0], pixels[1]), (masks[0], masks[1]), products)
