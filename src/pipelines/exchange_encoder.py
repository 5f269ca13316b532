"""What `python -m src.pipelines.backfill` does: everything embedded by a new encoder, held to the old one, exchanged.

The tables hold the embeddings of both encoders, each row with its encoder's id; a bundle is built of one encoder's.
Until the last step the old bundle serves, with its own encoder and index, and then the new one with its own: no search
mixes the two.
"""

import logging
from pathlib import Path

import numpy as np

from src.catalog.catalogue import Catalogue
from src.contracts.bundle import INDEX, open_bundle
from src.contracts.errors import ConfigError, GateError
from src.pipelines.paired_recall import paired_recall
from src.pipelines.run import run_batch
from src.pipelines.settings import BatchSettings
from src.pipelines.summary import Summary

__all__ = ["backfill"]

log = logging.getLogger(__name__)


def backfill(settings: BatchSettings) -> Summary:
    """Run the batch with the new encoder, and let its bundle take the served one's place if it finds no less.

    Args:
        settings: checked; `publish` is the bundle that is served.

    Returns:
        What the batch did.

    Raises:
        ConfigError: `publish` is no bundle with an index, or has the new encoder already.
        GateError: what the batch raises; or the new encoder finds the items of fewer queries, by more than chance
            explains. The old bundle stays in its place, the new embeddings in the tables.
    """
    if not settings.publish:
        raise ConfigError("`publish`: name the folder of the bundle that is served, whose encoder is to be exchanged")
    served, new = open_bundle(Path(settings.publish)), open_bundle(Path(settings.bundle))
    if INDEX not in served.content["files"]:
        raise ConfigError(f"`publish={settings.publish}`: has no index, hence serves nothing; use src.pipelines.batch")
    if served.content["encoder_id"] == new.content["encoder_id"] and served.preprocessing == new.preprocessing:
        raise ConfigError(
            f"`publish={settings.publish}` has the encoder of `bundle={settings.bundle}` already; use "
            "src.pipelines.batch to bring it up to date"
        )

    def check(catalogue: Catalogue, rows: np.ndarray, vectors: np.ndarray) -> None:
        found = paired_recall(catalogue, rows, vectors, old=served, new=new, runtime=settings.runtime)
        if found is None:
            log.warning(
                "the catalogue has no query with an item in the gallery: what the encoders find is not compared"
            )
            return
        line = (
            f"recall@10 of {found.queries} queries: {found.old:.4f} by the old encoder, {found.new:.4f} by the new, "
            f"difference within {found.low:+.4f} and {found.high:+.4f}"
        )
        log.info(line)
        if found.high < 0:
            raise GateError(f"{line}; the new encoder finds less, so that the old bundle stays; train it further")

    return run_batch(settings, check=check)
