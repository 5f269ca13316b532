"""The same batches, a few ahead, and no thread that stays."""

import threading
from collections.abc import Iterator

import pytest

from src.datamodules.prefetch import prefetched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_batches_come_in_order(count: int) -> None:
    assert list(prefetched(iter(range(count)))) == list(range(count))
    assert not threads()


def test_none_and_exceptions_are_batches_like_others() -> None:
    entries = [None, ValueError("a batch"), 3]
    assert list(prefetched(entries)) == entries


def test_nothing_is_fetched_before_the_first_is_asked_for_and_few_ahead() -> None:
    fetched: list[int] = []
    ahead = threading.Event()

    def batches() -> Iterator[int]:
        for number in range(10):
            fetched.append(number)
            if number == 3:
                ahead.set()
            yield number

    given = prefetched(batches(), depth=2)
    assert not fetched
    assert next(given) == 0
    # Two wait in the queue, one is in the thread's hands.
    assert ahead.wait(5)
    assert len(fetched) == 4
    given.close()
    assert not threads()


def test_an_error_comes_after_the_batches_before_it() -> None:
    def batches() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    given = prefetched(batches())
    assert [next(given) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(given)
    assert not threads()
