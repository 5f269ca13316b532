"""A random order of items that keeps groups of items within one batch."""

from collections import deque

import numpy as np

__all__ = ["grouped_order"]


def grouped_order(
    items: np.ndarray, groups: np.ndarray, *, together: int, p: int, room: int, rng: np.random.Generator
) -> np.ndarray:
    """A permutation that keeps items of one group adjacent and, where possible, within one batch.

    Args:
        items: int64 of shape (items,), each once.
        groups: the group of each of them, int64 of shape (items,); -1 is in no group.
        together: number of adjacent items of a group, fewer where it has fewer left.
        p: items in a batch.
        room: free places in the first batch.
        rng: source of the draws.

    Returns:
        int64 of shape (items,).
    """
    order = rng.permutation(len(items))
    # A stable sort by group keeps the random order within each.
    order = order[np.argsort(groups[order], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order], prepend=-2))
    parts: list[np.ndarray] = []
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        size = 1 if groups[order[start]] == -1 else together
        parts += [items[order[i : min(i + size, end)]] for i in range(start, end, size)]
    return _packed([parts[i] for i in rng.permutation(len(parts))], p=p, room=room)


def _packed(parts: list[np.ndarray], *, p: int, room: int) -> np.ndarray:
    """Concatenate the parts; one that does not fit into the current batch is put off to the next."""
    waiting: deque[np.ndarray] = deque()
    remaining = deque(parts)
    packed: list[np.ndarray] = []
    while waiting or remaining:
        fitting = next((i for i, part in enumerate(waiting) if len(part) <= room), None)
        if fitting is not None:
            part = waiting[fitting]
            del waiting[fitting]
        elif remaining and len(remaining[0]) > room and len(waiting) < p:
            waiting.append(remaining.popleft())
            continue
        else:
            # No part fits: this one is split.
            part = (remaining or waiting).popleft()
            if len(part) > room:
                part, rest = part[:room], part[room:]
                waiting.appendleft(rest)
        packed.append(part)
        room = room - len(part) or p
    return np.concatenate([*packed, np.empty(0, np.int64)]).astype(np.int64)
