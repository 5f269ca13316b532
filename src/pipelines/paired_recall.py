"""Two encoders on one catalogue: which finds a query's item more often, and whether that is more than chance."""

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from src.catalog.catalogue import Catalogue
from src.contracts.bundle import INDEX, ITEMS_TABLE, Bundle
from src.eval.embedded import Embedded, embed_rows
from src.eval.metrics import recall_at_k
from src.eval.ranking import rank_positives
from src.eval.sign_flips import sign_flip_test
from src.export.runtime import open_encoder
from src.index.faiss_index import FaissIndex

__all__ = ["PairedRecall", "paired_recall"]

_K = 10
_QUERIES = 2000
_BATCH = 32


@dataclass(frozen=True)
class PairedRecall:
    """Recall@10 of two encoders, over the same queries and the same gallery, by exact search.

    Attributes:
        queries: those that have a positive.
        old: mean recall.
        new: mean recall.
        low: lower end of the 95 % interval of new minus old.
        high: its upper end.
    """

    queries: int
    old: float
    new: float
    low: float
    high: float


def paired_recall(
    catalogue: Catalogue, rows: np.ndarray, vectors: np.ndarray, *, old: Bundle, new: Bundle, runtime: str
) -> PairedRecall | None:
    """Embed at most 2,000 queries of the test split (of validation where it has none) with both, and search.

    Args:
        catalogue: where queries and their items are.
        rows: int64 of shape (images,), the gallery of the new encoder.
        vectors: float32 of shape (images, dim), its embeddings.
        old: a bundle with index.
        new: a bundle with the encoder that made the vectors.
        runtime: of both encoders.

    Returns:
        None where no query has a positive among the images that both have.
    """
    asked = catalogue.query_rows(catalogue.test_split())
    rng = np.random.default_rng(0)
    asked = np.sort(rng.choice(asked, min(_QUERIES, len(asked)), replace=False))
    old_row = {image: row for row, image in enumerate(pq.read_table(old.path(ITEMS_TABLE))["image_id"].to_pylist())}
    ids = catalogue.column("image_id", rows)
    common = np.array([place for place, image in enumerate(ids) if image in old_row], np.int64)
    if not len(asked) or not len(common):
        return None
    stored = FaissIndex.load(old.path(INDEX)).vectors(np.array([old_row[image] for image in ids[common]], np.int64))
    hits = []
    for bundle, gallery in ((old, stored), (new, vectors[common])):
        encoder = open_encoder(bundle, runtime=runtime, batch=_BATCH)
        queries = embed_rows(catalogue, asked, bundle.preprocessing, encoder.embed, batch=_BATCH, what="queries")
        items = catalogue.column("item_id", rows[common])
        ranking = rank_positives(queries, Embedded(gallery, ids[common], items, None))
        hits.append(recall_at_k(ranking.ranks, _K))
        has_positive = ranking.positives > 0
    if not has_positive.any():
        return None
    before, after = (values[has_positive] for values in hits)
    _, product = np.unique(catalogue.column("item_id", asked)[has_positive], return_inverse=True)
    sums, counts = np.bincount(product, after - before)[:, None], np.bincount(product)[:, None]
    _, low, high = sign_flip_test(sums, counts.astype(np.float64))
    return PairedRecall(len(before), float(before.mean()), float(after.mean()), float(low[0]), float(high[0]))
