"""What the routes share: made before the process listens, closed after it has drained."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread

from serve.observe.metrics import Metrics
from serve.path.workers import Workers
from serve.rollout.current import Current
from serve.rollout.opened import Opened
from serve.settings import ServeSettings

__all__ = ["Service"]


@dataclass
class Service:
    """The parts of one application.

    Attributes:
        bundle_path: the bundle's folder.
        settings: its limits.
        metrics: what it counts.
        ready: whether searches are answered.
        current: the opened bundle that answers; set when `ready`.
    """

    bundle_path: Path
    settings: ServeSettings
    metrics: Metrics = field(default_factory=Metrics)
    ready: bool = False
    current: Current = field(init=False, repr=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the bundle, be ready, clean up.

        Raises:
            LookalikeError: the bundle cannot be served.
        """
        workers = Workers(threads=self.settings.workers)
        try:
            opened = await anyio.to_thread.run_sync(
                lambda: Opened.open(self.bundle_path, settings=self.settings, workers=workers, metrics=self.metrics)
            )
            self.current = Current(opened)
            self.metrics.bundle.labels(opened.bundle_id).set(opened.description.images)
            self.ready = True
            try:
                yield
            finally:
                self.ready = False
                with self.current.hold() as opened:
                    opened.close()
        finally:
            workers.close()
