"""An opened bundle with everything that answers from it."""

import logging
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from serve.breaker import Breaker
from serve.bundle.priority import at_low_priority
from serve.cache.embedding_cache import EmbeddingCache
from serve.cache.key import EmbeddingKeys
from serve.live.items import LiveItems
from serve.live.layer import Layer
from serve.metrics import Metrics
from serve.pipeline.batcher import Batcher
from serve.pipeline.current import CurrentHits
from serve.pipeline.decoding import Decoding
from serve.pipeline.embedder import Embedder
from serve.pipeline.query import MAX_K, MAX_OFFSET, PRIVATE_COLUMNS
from serve.pipeline.search import Pipeline
from serve.pipeline.threads import ThreadPools
from serve.schemas import Bundle, Item, Limits, ValueCount, Values
from serve.settings import ServeSettings
from serve.store.store import Store
from src.contracts.bundle import ENCODER, open_bundle
from src.search.checks import check_finds
from src.search.regions import open_detector
from src.search.searcher import Searcher
from src.search.values import ColumnValues

__all__ = ["Opened", "Shared"]

_MIB = 1024 * 1024
_REST = 2.0
"""Seconds without work after each second of the processor, while changes are applied beside another bundle."""

_log = logging.getLogger("serve")


@dataclass(frozen=True)
class Shared:
    """What all bundles of a service share."""

    settings: ServeSettings
    metrics: Metrics
    pools: ThreadPools
    cache: EmbeddingCache
    store: Store | None
    live: LiveItems | None


@dataclass(frozen=True, eq=False)
class Opened:
    """What a request holds from its start to its answer.

    Attributes:
        searcher: the bundle.
        batcher: runs its encoder.
        pipeline: runs searches.
        layer: the changed items over it; None where items cannot be changed.
        description: what GET /v1/bundle answers.
        checks: what was checked before it took over, in words.
    """

    searcher: Searcher
    batcher: Batcher
    pipeline: Pipeline
    layer: Layer | None
    description: Bundle
    checks: str = "not checked"

    @classmethod
    def open(cls, path: Path, shared: Shared, *, beside: bool = False, changes_after: int | None = None) -> "Opened":
        """Verify a bundle, load it and run it once. Blocks.

        Args:
            path: the bundle's folder.
            shared: what it has in common with the other bundles of the service.
            beside: another bundle answers meanwhile: verify and check at a low priority, and search with some pictures.
            changes_after: the catalogue of the bundle has the changes of items up to this number; None: as noted before.

        Raises:
            LookalikeError: it cannot be served.
        """
        settings, metrics = shared.settings, shared.metrics
        if beside:
            # Verified here, at a low priority; what follows loads the same files.
            at_low_priority(lambda: open_bundle(path, public_key=settings.public_key))
        searcher = Searcher.open(
            path,
            runtime=settings.runtime,
            precision=settings.precision,
            threads=settings.encoder_threads,
            public_key=settings.public_key,
        )
        checks = at_low_priority(lambda: check_finds(searcher)) if beside else "not checked"
        keys = EmbeddingKeys.of(searcher.bundle.content, encoder_file=ENCODER, arithmetic=searcher.runtime)
        layer = None
        if shared.live is not None:
            layer = shared.live.open_layer(
                searcher, made_by=keys.prefix, changes_after=changes_after, rest=_REST if beside else 0.0
            )
        cores = max(1, len(os.sched_getaffinity(0)) // settings.processes)
        on_cpu = "on the CPU" in searcher.runtime
        encoders = settings.encoders or (max(1, cores // (settings.encoder_threads or cores)) if on_cpu else 1)
        batcher = Batcher(
            searcher.embed_pixels,
            encoders=encoders,
            max_batch=settings.max_batch,
            wait=settings.batch_wait_ms / 1000,
            metrics=metrics,
        )
        embedder = Embedder(
            searcher=searcher,
            keys=keys,
            pools=shared.pools,
            decoding=Decoding(
                pools=shared.pools, most=round(settings.decode_mib * _MIB), max_pixels=settings.max_pixels
            ),
            batcher=batcher,
            metrics=metrics,
            detector=open_detector(settings.detector),
            breaker=Breaker(on_change=metrics.watch("encoder")),
            cache=shared.cache,
            max_pixels=settings.max_pixels,
            # Where every core has an encoder of its own, other threads gain nothing.
            decode_ahead=not (on_cpu and settings.encoder_threads == 1 and encoders >= cores),
        )
        pipeline = Pipeline(
            bundle_id=searcher.bundle.bundle_id,
            gallery=layer.gallery if layer is not None else lambda: searcher.gallery,
            embedder=embedder,
            pools=shared.pools,
            metrics=metrics,
            current=CurrentHits(shared.store),
            breaker=Breaker(on_change=metrics.watch("index")),
            image_path=lambda image_id: image_path(settings.root_path, image_id),
        )
        _log.info(
            "bundle %s: %d images, %s index, %s",
            searcher.bundle.bundle_id, len(searcher.gallery), searcher.bundle.content["index"]["layout"], searcher.runtime,
        )  # fmt: skip
        return cls(searcher, batcher, pipeline, layer, _describe(searcher, settings), checks)

    @cached_property
    def description_json(self) -> bytes:
        """`description` as it is sent."""
        return self.description.model_dump_json().encode()

    @property
    def bundle_id(self) -> str:
        """The bundle's id."""
        return self.searcher.bundle.bundle_id

    def close(self) -> None:
        """End the threads that work for this bundle only; no request holds it any longer."""
        self.batcher.close()


def image_path(root_path: str, image_id: str) -> str:
    """The URL path of an image's thumbnail."""
    return f"{root_path}/v1/images/{quote(image_id, safe='')}"


def _describe(searcher: Searcher, settings: ServeSettings) -> Bundle:
    bundle, gallery = searcher.bundle, searcher.gallery
    content = bundle.content
    # `config` is left out: it names paths of the machine that exported.
    return Bundle(
        bundle_id=bundle.bundle_id,
        encoder_id=content["encoder_id"],
        runtime=searcher.runtime,
        dim=content["dim"],
        metric=content["metric"],
        preprocessing=content["preprocessing"],
        index=content["index"],
        catalogue=content["catalogue"],
        images=len(gallery),
        items=gallery.items.count,
        filters={name: _values(gallery.values(name)) for name in ("category", "brand", "color")},
        columns={
            field.name: _kind(field.type) for field in gallery.items.table.schema if field.name not in PRIVATE_COLUMNS
        },
        price=gallery.price_range(),
        examples=[
            Item(**row, thumbnail=image_path(settings.root_path, row["image_id"])) for row in gallery.examples()
        ],
        limits=Limits(
            max_k=MAX_K,
            max_upload_bytes=settings.max_upload,
            max_offset=MAX_OFFSET,
            max_images=settings.most_images,
            max_pixels=settings.max_pixels,
        ),
        measured=bundle.measured,
    )


def _values(values: ColumnValues) -> Values:
    counts = [ValueCount(value=value, images=images) for value, images in values.counts]
    return Values(values=counts, distinct=values.distinct)


def _kind(column: pa.DataType) -> str:
    if pa.types.is_boolean(column):
        return "boolean"
    if pa.types.is_integer(column) or pa.types.is_floating(column):
        return "number"
    return "time" if pa.types.is_temporal(column) else "text"
