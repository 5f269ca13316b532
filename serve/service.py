"""What the routes share: made before the process listens, closed after it has drained."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread

from serve.bundle.engine import Engine
from serve.observe.metrics import Metrics
from serve.path.pipeline import Pipeline
from serve.path.workers import Workers
from serve.schemas import Bundle, Limits
from serve.settings import MAX_K, ServeSettings
from src.contracts.preprocessing import MAX_PIXELS

__all__ = ["Service"]


@dataclass
class Service:
    """The parts of one application.

    Attributes:
        bundle_path: the bundle's folder.
        settings: its limits.
        metrics: what it counts.
        ready: whether searches are answered.
        pipeline: searches; set when `ready`.
        description: what is served; set when `ready`.
    """

    bundle_path: Path
    settings: ServeSettings
    metrics: Metrics = field(default_factory=Metrics)
    ready: bool = False
    pipeline: Pipeline = field(init=False, repr=False)
    description: Bundle = field(init=False, repr=False)

    @property
    def engine(self) -> Engine:
        """The opened bundle."""
        return self.pipeline.engine

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the bundle, be ready, clean up.

        Raises:
            LookalikeError: the bundle cannot be served.
        """
        settings = self.settings
        engine = await anyio.to_thread.run_sync(
            lambda: Engine.open(
                self.bundle_path,
                encoder_threads=settings.encoder_threads,
                runtime=settings.runtime,
                precision=settings.precision,
                public_key=settings.public_key,
            )
        )
        workers = Workers(threads=settings.workers, metrics=self.metrics)
        self.pipeline = Pipeline(engine=engine, workers=workers, metrics=self.metrics)
        self.description = _describe(engine, settings)
        self.metrics.bundle.labels(engine.bundle.bundle_id).set(len(engine.catalogue))
        self.ready = True
        try:
            yield
        finally:
            self.ready = False
            workers.close()


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
        limits=Limits(max_k=MAX_K, max_upload_bytes=settings.max_upload, max_pixels=MAX_PIXELS),
        measured=bundle.measured,
    )
