"""One opened bundle with all that answers from it."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from serve.breaker import Breaker
from serve.bundle.engine import Engine
from serve.bundle.trending import Trending
from serve.cache.key import EmbeddingKeys
from serve.live.engine import LiveEngine
from serve.live.journal import Journal
from serve.observe.metrics import Metrics
from serve.path.batcher import Batcher
from serve.path.current_items import CurrentItems
from serve.path.detector import open_detector
from serve.path.embedder import Embedder, EmbeddingCache
from serve.path.explainer import Explainer
from serve.path.ladder import Ladder
from serve.path.pipeline import Pipeline
from serve.path.workers import Workers
from serve.rollout.checks import check_finds
from serve.schemas import Bundle, Limits
from serve.settings import MAX_K, MAX_OFFSET, ServeSettings
from serve.store.store import Store
from src.contracts.bundle import ENCODER
from src.contracts.preprocessing import MAX_PIXELS

__all__ = ["Opened"]

_REST = 2.0
"""Seconds without work after each second of the processor, while changes of items are made: a third of one core."""


@dataclass(frozen=True, eq=False)
class Opened:
    """What a request holds from its start to its answer. Two of them share nothing but the threads.

    Attributes:
        engine: encoder, index and catalogue.
        batcher: the encoder's batches.
        pipeline: searches with them.
        explainer: says why an item was found.
        description: what is served.
        checks: what was found before it was taken, in words.
    """

    engine: Engine
    batcher: Batcher
    pipeline: Pipeline
    explainer: Explainer
    description: Bundle
    checks: str = "not checked"

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        settings: ServeSettings,
        workers: Workers,
        metrics: Metrics,
        cache: EmbeddingCache | None,
        store: Store,
        journal: Journal | None = None,
        since: float = 0.0,
        beside: bool = False,
    ) -> "Opened":
        """Verify a bundle, load it, warm it up. Blocks.

        Args:
            path: the bundle's folder.
            settings: of the service.
            workers: the threads of all opened bundles.
            metrics: where its searches are counted.
            cache: the embeddings of all opened bundles; None keeps none.
            journal: changes of items, which are made in it; None: its items stay as they are.
            since: seconds since 1970; changes before it are in the bundle already.
            beside: whether another one answers meanwhile: it must find its own pictures, and leaves the processor to
                the other while it makes the changes.
            store: what the shop knows of its items, whichever bundle they are in.

        Raises:
            LookalikeError: it cannot be served; see `Engine.open`, `check_finds` and `LiveEngine.over`.
        """
        engine = Engine.open(
            path,
            encoder_threads=settings.encoder_threads,
            runtime=settings.runtime,
            precision=settings.precision,
            public_key=settings.public_key,
            mapped=settings.processes > 1,
        )
        checks = check_finds(engine) if beside else "not checked"
        description = _describe(engine, settings)
        if journal is not None:
            assert settings.state is not None
            engine = LiveEngine.over(engine, settings.state, journal, since=since, rest=_REST if beside else 0.0)
        cores = max(1, len(os.sched_getaffinity(0)) // settings.processes)
        on_cpu = "on the CPU" in engine.runtime
        encoders = settings.encoders or (max(1, cores // (settings.encoder_threads or cores)) if on_cpu else 1)
        batcher = Batcher(
            engine.embed,
            encoders=encoders,
            max_batch=settings.max_batch,
            wait=settings.batch_wait_ms / 1000,
            metrics=metrics,
        )
        keys = EmbeddingKeys.of(engine.bundle.content, encoder_file=ENCODER, arithmetic=engine.runtime)
        embedder = Embedder(
            engine=engine,
            keys=keys,
            workers=workers,
            batcher=batcher,
            metrics=metrics,
            detector=open_detector(settings.detector),
            breaker=Breaker(on_change=metrics.breakers.watch("encoder")),
            cache=cache,
            # Where every core has an encoder to itself, nothing is gained by other threads.
            decode_ahead=not (on_cpu and settings.encoder_threads == 1 and encoders >= cores),
        )
        current = CurrentItems(store)
        pipeline = Pipeline(
            engine=engine,
            embedder=embedder,
            workers=workers,
            metrics=metrics,
            current=current,
            ladder=Ladder(trending=Trending.of(engine.bundle), store=store, current=current),
            breaker=Breaker(on_change=metrics.breakers.watch("index")),
        )
        explainer = Explainer(engine=engine, batcher=batcher, workers=workers, at_once=settings.max_batch)
        return cls(
            engine=engine,
            batcher=batcher,
            pipeline=pipeline,
            explainer=explainer,
            description=description,
            checks=checks,
        )

    @cached_property
    def description_json(self) -> bytes:
        """`description` as it is told; it does not change."""
        return self.description.model_dump_json().encode()

    @property
    def bundle_id(self) -> str:
        """Which bundle it is."""
        return self.engine.bundle.bundle_id

    def close(self) -> None:
        """End what runs for this bundle only; nobody holds it any longer. Its memory goes with the last reference."""
        self.batcher.close()
        self.engine.close()


def _describe(engine: Engine, settings: ServeSettings) -> Bundle:
    bundle, catalogue = engine.bundle, engine.catalogue
    content = bundle.content
    # `config` is left out: it names paths of the machine that exported.
    return Bundle(
        bundle_id=bundle.bundle_id,
        encoder_id=content["encoder_id"],
        runtime=engine.runtime,
        dim=content["dim"],
        metric=content["metric"],
        preprocessing=content["preprocessing"],
        index=content["index"],
        catalogue=content["catalogue"],
        images=len(catalogue),
        items=catalogue.items,
        filters=catalogue.values(),
        price=catalogue.price_range(),
        examples=catalogue.examples(),
        limits=Limits(
            max_k=MAX_K,
            max_upload_bytes=settings.max_upload,
            max_offset=MAX_OFFSET,
            max_images=settings.most_images,
            max_pixels=MAX_PIXELS,
        ),
        measured=bundle.measured,
    )
