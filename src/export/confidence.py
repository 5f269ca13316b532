"""Fits, on photos of the validation split, how far the bundle's answers can be trusted."""

import logging

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.calibration import LEAST_PRODUCTS, LEAST_QUERIES, fit_confidence
from src.eval.embedded import Embed, Embedded, embed_rows
from src.eval.evaluation import evaluate_embedded
from src.eval.first_results import first_results
from src.search.confidence import Confidence

__all__ = ["fit_bundle_confidence"]

log = logging.getLogger(__name__)

_QUERIES = 2_000


def fit_bundle_confidence(
    catalogue: Catalogue, gallery: Embedded, spec: PreprocessingSpec, embed: Embed, *, batch: int
) -> Confidence | None:
    """Search with queries of the validation split in the whole gallery, which is what the service does.

    Args:
        catalogue: where the images are.
        gallery: embedded, of all splits.
        spec: how pixels are made.
        embed: embeds queries as the service will.
        batch: images embedded at once.

    Returns:
        None where too few queries have a product in the gallery.
    """
    rows = _answerable(catalogue, catalogue.query_rows("val"), gallery)
    rows = np.sort(np.random.default_rng(0).choice(rows, min(_QUERIES, len(rows)), replace=False))
    confidence = None
    if len(rows) >= LEAST_QUERIES:
        queries = embed_rows(catalogue, rows, spec, embed, batch=batch, what="photos of the validation split")
        firsts = first_results(evaluate_embedded(queries, gallery).per_query)
        confidence = None if firsts is None else fit_confidence(firsts)
    if confidence is None:
        log.info(
            "no confidence: it is fitted on %d validation queries of %d products at least",
            LEAST_QUERIES,
            LEAST_PRODUCTS,
        )
    return confidence


def _answerable(catalogue: Catalogue, rows: np.ndarray, gallery: Embedded) -> np.ndarray:
    """The rows whose item has an image in the gallery other than themselves."""
    items, images = np.unique(gallery.item_ids.astype(str), return_counts=True)
    asked = catalogue.column("item_id", rows).astype(str)
    place = np.minimum(np.searchsorted(items, asked), len(items) - 1)
    found = np.where(items[place] == asked, images[place], 0)
    return rows[found > np.isin(catalogue.column("image_id", rows), gallery.image_ids)]
