"""Choose the images of an item for a batch."""

from collections.abc import Mapping

import numpy as np

from src.contracts.tables import DOMAINS

__all__ = ["draw_across_domains", "draw_images", "images_of_items", "shuffled_apart"]

_CATALOGUE, _USER = DOMAINS.index("catalogue"), DOMAINS.index("user")


def images_of_items(items: np.ndarray, domains: np.ndarray) -> dict[int, dict[int, np.ndarray]]:
    """Group rows by item and domain, both in the order of their first row.

    Args:
        items: number of each image's item: int64 of shape (images,).
        domains: number of each image's domain: int64 of shape (images,).

    Returns:
        item -> domain -> rows, int64 of shape (images of both,).
    """
    groups: dict[int, dict[int, list[int]]] = {}
    for row, (item, domain) in enumerate(zip(items.tolist(), domains.tolist(), strict=True)):
        groups.setdefault(item, {}).setdefault(domain, []).append(row)
    return {
        item: {domain: np.asarray(rows, np.int64) for domain, rows in group.items()} for item, group in groups.items()
    }


def draw_images(
    rows: Mapping[int, np.ndarray], k: int, rng: np.random.Generator, sequences: np.ndarray | None = None
) -> np.ndarray:
    """Draw K images of one item, from its domains in turn; none repeats before all were drawn.

    Args:
        rows: domain -> rows of the item's images.
        k: images to draw.
        rng: source of the draws.
        sequences: see `shuffled_apart`.

    Returns:
        int64 of shape (k,).
    """
    shuffled = [shuffled_apart(of_domain, sequences, rng) for of_domain in rows.values()]
    depth = max(len(of_domain) for of_domain in shuffled)
    turns = [of_domain[turn] for turn in range(depth) for of_domain in shuffled if turn < len(of_domain)]
    return np.resize(np.asarray(turns, np.int64), k)


def shuffled_apart(rows: np.ndarray, sequences: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Rows in random order; with sequences, one of each sequence comes before a second one of any.

    Args:
        rows: int64 of shape (images,).
        sequences: int64 of shape (images of the training set,): the sequence of each row, -1 for an image of none,
            which is a sequence of its own; None for no such order.
        rng: source of the order.
    """
    order = rng.permutation(rows)
    if sequences is None:
        return order
    of_row = sequences[order]
    grouped = np.argsort(of_row, kind="stable")
    in_group = of_row[grouped]
    turn = np.empty(len(order), np.int64)
    turn[grouped] = np.arange(len(order)) - np.searchsorted(in_group, in_group)
    turn[of_row < 0] = 0
    return order[np.argsort(turn, kind="stable")]


def draw_across_domains(
    rows: Mapping[int, np.ndarray],
    k: int,
    user_share: float,
    repeat: bool,
    rng: np.random.Generator,
    sequences: np.ndarray | None = None,
) -> np.ndarray:
    """Draw K images of one item with a given share of user photos, the others catalogue images.

    An item that has both kinds contributes at least one of each. Where one kind has too few images, the other kind
    fills the gap, or with `repeat` images of that kind repeat. Images of unknown domain come last. No image repeats
    before all of its kind were drawn.

    Args:
        rows: domain -> rows of the item's images.
        k: images to draw; at least 2.
        user_share: share of user photos.
        repeat: whether images of the kind that has too few repeat.
        rng: source of the draws.
        sequences: see `shuffled_apart`.

    Returns:
        int64 of shape (k,).
    """
    shuffled = {domain: shuffled_apart(of_domain, sequences, rng) for domain, of_domain in rows.items()}
    if _USER in shuffled and _CATALOGUE in shuffled:
        users = min(max(round(k * user_share), 1), k - 1)
        wanted = {_USER: users, _CATALOGUE: k - users}
        if repeat:
            return np.concatenate([np.resize(shuffled[domain], count) for domain, count in wanted.items()])
        first = np.concatenate([shuffled[domain][:count] for domain, count in wanted.items()])
        rest = np.concatenate([shuffled[domain][count:] for domain, count in wanted.items()])
    else:
        known = [of_domain for domain, of_domain in shuffled.items() if domain >= 0]
        first, rest = np.concatenate([*known, np.empty(0, np.int64)]), np.empty(0, np.int64)
    order = np.concatenate([first, rest, shuffled.get(-1, np.empty(0, np.int64))])
    return np.resize(order, k)
