"""Fetch batches in a thread while the previous one is trained on."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")


def prefetched(batches: Iterable[T], *, depth: int = 2) -> Iterator[T]:
    """Yield the same batches in the same order, fetched by a thread up to `depth` batches early.

    Copying a batch out of the pixel cache waits for the disk where its pages are not in memory. NumPy and torch release
    the GIL while they copy, so that training continues meanwhile.

    Args:
        batches: iterated in the thread, which starts with the first batch that is requested.
        depth: most batches in the queue.

    Yields:
        The elements of `batches`; an exception in it is raised here, after the elements before it.
    """
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[T] | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fetch() -> None:
        try:
            for batch in batches:
                if not put((batch,)):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=fetch, name="prefetch", daemon=True)
    thread.start()
    try:
        while (entry := ready.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        stopped.set()
        thread.join()
