"""Groups of duplicates from pairs, each around one image that all others of the group look like."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["DuplicateGroups", "group_duplicates"]


@dataclass(frozen=True)
class DuplicateGroups:
    """Who is a duplicate of whom.

    Attributes:
        members: `image_id`, `representative_id` and `component_id` (the first image of its component), a row an image
            that has a duplicate, representatives included; sorted from the last of these columns to the first.
        components: sets of images that pairs connect, over any number of steps.
        divided: components that are several groups, since not all of their images look like the first one.
        largest: images of the largest component.
        furthest: most steps, along pairs, from the first image of a component to another of it: its diameter is at most
            twice this. 1 where no component is a chain.
    """

    members: pa.Table
    components: int
    divided: int
    largest: int
    furthest: int


def group_duplicates(pairs: pa.Table, order: pa.Array | None = None) -> DuplicateGroups:
    """Divide images into groups whose members are each a duplicate of the group's first image.

    Components alone would join a chain of images, each like the next, whose ends have nothing in common. Here the
    first image of a component represents a group of those that are paired with it; of the others the first one is the
    next representative, and so on. Whoever is paired with several representatives belongs to the first of them.

    Args:
        pairs: `image_id` and `other_id`.
        order: image ids, those first that are to represent (the oldest); ids that it lacks come last, and without it
            ids represent in their own order.

    Returns:
        The groups.
    """
    names = pc.unique(pa.chunked_array([pairs["image_id"].combine_chunks(), pairs["other_id"].combine_chunks()]))
    places = np.arange(len(names)) if order is None else pc.fill_null(pc.index_in(names, order), len(order)).to_numpy()
    names = names.take(
        pc.sort_indices(pa.table({"place": places, "name": names}), [("place", "ascending"), ("name", "ascending")])
    )
    a, b = (pc.index_in(pairs[column], names).to_numpy().astype(np.int64) for column in ("image_id", "other_id"))
    a, b = np.minimum(a, b), np.maximum(a, b)
    component = _components(a, b, len(names))
    first = _representatives(a, b, len(names))
    steps = _steps(a, b, component)
    members = pa.table(
        {
            "image_id": names,
            "representative_id": names.take(pa.array(first)),
            "component_id": names.take(pa.array(component)),
        }
    )
    groups = np.unique(np.stack([component, first]), axis=1)[0]
    return DuplicateGroups(
        members=members.sort_by([(name, "ascending") for name in ("component_id", "representative_id", "image_id")]),
        components=len(np.unique(component)),
        divided=int((np.unique(groups, return_counts=True)[1] > 1).sum()),
        largest=int(np.bincount(component).max()) if len(names) else 0,
        furthest=int(steps.max()) if len(names) else 0,
    )


def _components(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """The smallest number in each number's component (union-find, all pairs at once: each halves its paths)."""
    root = np.arange(count)
    while True:
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        if (low == high).all():
            return root
        np.minimum.at(root, high, low)
        while (root != root[root]).any():
            root = root[root]


def _representatives(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Each number's representative: itself, or the first representative that it is paired with; `a` < `b`."""
    first = np.arange(count)
    order = np.lexsort((b, a))
    # By ascending `a`: when a number is looked at, all smaller ones have been.
    for one, other in zip(a[order].tolist(), b[order].tolist(), strict=True):
        if first[one] == one and first[other] == other:
            first[other] = one
    return first


def _steps(a: np.ndarray, b: np.ndarray, component: np.ndarray) -> np.ndarray:
    """The steps along pairs from the first image of each image's component."""
    far = np.iinfo(np.int64).max // 2
    steps = np.where(component == np.arange(len(component)), 0, far)
    while True:
        before = steps.copy()
        np.minimum.at(steps, a, before[b] + 1)
        np.minimum.at(steps, b, before[a] + 1)
        if (steps == before).all():
            return steps
