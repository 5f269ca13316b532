"""An opened bundle with everything that answers from it."""

import logging
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from serve.breaker import Breaker
from serve.bundle.describe import describe, image_path
from serve.bundle.priority import at_low_priority
from serve.cache.embedding_cache import EmbeddingCache
from serve.cache.key import EmbeddingKeys
from serve.metrics import Metrics
from serve.pipeline.batcher import Batcher
from serve.pipeline.current import CurrentHits
from serve.pipeline.decoding import Decoding
from serve.pipeline.embedder import Embedder
from serve.pipeline.observer import Observer
from serve.pipeline.search import Pipeline
from serve.pipeline.threads import ThreadPools
from serve.settings import ServeSettings
from serve.store.store import Store
from src.contracts.bundle import ENCODER, open_bundle
from src.contracts.errors import ConfigError
from src.search.checks import check_finds
from src.search.layer import Layer
from src.search.live_items import LiveItems
from src.search.milvus_place import MilvusPlace, collection_of
from src.search.regions import open_detector
from src.search.searcher import Searcher

if TYPE_CHECKING:
    from src.search.milvus_gallery import MilvusGallery
    from src.search.shared_items import SharedItems, SharedStore

__all__ = ["Opened", "Shared"]

_MIB = 1024 * 1024
_REST = 2.0
"""Seconds without work after each second of the processor, while changes are applied beside another bundle."""

_MILVUS_SHARE = 0.5
"""Of a request's time: a call of Milvus ends before the request takes a fallback, and its thread is free again."""

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
    changes: "SharedStore | None" = None


@dataclass(frozen=True, eq=False)
class Opened:
    """What a request holds from its start to its answer.

    Attributes:
        layer: the changed items over it; None where items cannot be changed.
        description: what GET /v1/bundle answers, as JSON.
        checks: what was checked before it took over, in words.
        items: changes its items, where they are in Milvus; None elsewhere.
    """

    searcher: Searcher
    pipeline: Pipeline
    layer: Layer | None
    description: str
    checks: str
    items: "SharedItems | None" = None

    @classmethod
    def open(cls, path: Path, shared: Shared, *, beside: bool = False, changes_after: int | None = None) -> "Opened":
        """Verify a bundle, load it and run it once. Blocks.

        If another bundle answers `beside` it, verify and check it at a low priority, and search with some pictures. Its
        catalogue has the changes of items up to number `changes_after`; None: up to the one last given for it. Raises
        `LookalikeError` where it cannot be served.
        """
        settings, key = shared.settings, shared.settings.public_key
        bundle = at_low_priority(partial(open_bundle, path, public_key=key)) if beside else None
        searcher = Searcher.open(
            bundle or path,
            runtime=settings.runtime,
            precision=settings.precision,
            threads=settings.encoder_threads,
            batch=settings.max_batch,
            public_key=key,
            milvus=_milvus(shared),
        )
        checks = at_low_priority(partial(check_finds, searcher)) if beside else "not checked"
        keys = EmbeddingKeys.of(searcher.bundle.content, encoder_file=ENCODER, arithmetic=searcher.runtime)
        layer, milvus = None, searcher.gallery if collection_of(searcher.bundle) is not None else None
        if shared.live is not None and milvus is not None:
            raise ConfigError("--state: a bundle whose vectors are in Milvus has its changes there; leave it out")
        if shared.live is not None:
            rest = _REST if beside else 0.0
            layer = shared.live.open_layer(searcher, made_by=keys.prefix, changes_after=changes_after, rest=rest)
        pipeline = Pipeline(
            bundle_id=searcher.bundle.bundle_id,
            gallery=layer.gallery if layer is not None else lambda: searcher.gallery,
            milvus=cast("MilvusGallery | None", milvus),
            embedder=_embedder(searcher, keys, shared),
            pools=shared.pools,
            metrics=shared.metrics,
            current=CurrentHits(shared.store),
            breaker=Breaker(on_change=shared.metrics.watch("index")),
            image_path=partial(image_path, settings.root_path),
            observer=_observer(searcher, shared),
        )
        index = searcher.bundle.content["index"]
        layout = index.get("layout") or f"Milvus {index['collection']}"
        _log.info("bundle %s: %d images, %s index, %s", path.name, len(searcher.gallery), layout, searcher.runtime)
        description = describe(searcher, settings).model_dump_json()
        return cls(searcher, pipeline, layer, description, checks, _shared_items(searcher, shared))

    def close(self) -> None:
        """End the threads that work for this bundle only; no request holds it any longer."""
        self.pipeline.embedder.batcher.close()
        if self.pipeline.observer is not None:
            self.pipeline.observer.close()
        if self.pipeline.milvus is not None:
            self.pipeline.milvus.close()


def _shared_items(searcher: Searcher, shared: Shared) -> "SharedItems | None":
    if shared.changes is None:
        return None
    from src.search.shared_items import SharedItems

    freshness = shared.metrics.freshness
    return SharedItems(
        searcher, shared.changes, on_change=lambda kind, seconds: freshness.labels(kind).observe(seconds)
    )


def _milvus(shared: Shared) -> MilvusPlace | None:
    settings, changes = shared.settings, shared.changes
    if not settings.milvus_uri:
        return None
    place = MilvusPlace(
        uri=settings.milvus_uri,
        token=settings.milvus_token.get_secret_value() if settings.milvus_token is not None else "",
        timeout=_MILVUS_SHARE * settings.deadline_seconds,
        consistency=settings.milvus_consistency,
    )
    return place if changes is None else replace(place, changed=changes.known, jpeg=changes.pictures.jpeg)


def _embedder(searcher: Searcher, keys: EmbeddingKeys, shared: Shared) -> Embedder:
    settings, metrics = shared.settings, shared.metrics
    cores = max(1, len(os.sched_getaffinity(0)) // settings.processes)
    on_cpu = "on the CPU" in searcher.runtime
    encoders = settings.encoders or (max(1, cores // (settings.encoder_threads or cores)) if on_cpu else 1)
    encode = searcher.encoder.embed_with_norms
    wait, most = settings.batch_wait_ms / 1000, round(settings.decode_mib * _MIB)
    return Embedder(
        searcher=searcher,
        keys=keys,
        pools=shared.pools,
        decoding=Decoding(pools=shared.pools, most=most, max_pixels=settings.max_pixels),
        batcher=Batcher(encode, encoders=encoders, max_batch=settings.max_batch, wait=wait, metrics=metrics),
        metrics=metrics,
        detector=open_detector(settings.detector),
        breaker=Breaker(on_change=metrics.watch("encoder")),
        cache=shared.cache,
        # Where every core has an encoder of its own, other threads gain nothing.
        decode_ahead=not (on_cpu and settings.encoder_threads == 1 and encoders >= cores),
    )


def _observer(searcher: Searcher, shared: Shared) -> Observer | None:
    """What counts queries; None where nothing is to be counted, or the bundle has nothing to compare with."""
    settings = shared.settings
    if settings.drift is None:
        return None
    from src.monitoring.drift.recorder import open_recorder

    minutes, processes, photos = settings.drift_minutes, settings.processes, settings.drift_photos
    recorder = open_recorder(
        searcher.bundle, searcher.encoder, settings.drift, minutes=minutes, processes=processes, photos=photos
    )
    return None if recorder is None else Observer(recorder, seconds=60 * minutes, metrics=shared.metrics)
