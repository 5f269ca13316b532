"""P x K batches: P items, K images of each."""

from collections.abc import Iterator

import numpy as np

from src.contracts.errors import ConfigError
from src.datamodules.item_batch_sampler import ItemBatchSampler
from src.datamodules.item_images import draw_across_domains, draw_images
from src.datamodules.item_order import grouped_order
from src.datamodules.training_set import TrainingSet

__all__ = ["PKSampler"]


class PKSampler(ItemBatchSampler):
    """Batches of P items with K images each (Hermans, Beyer, Leibe: In Defense of the Triplet Loss, 2017).

    An epoch goes through the items in rounds, each in a new order, until as many images are drawn as there are. An
    item's images do not repeat until all are used. Where an item has images of several domains, its first images come
    from different domains: a batch then holds pairs of user photo and catalogue image, which search is about.

    With `by`, similar items are put into one batch: items of one category, or variants of one parent. Each item still
    comes once in a round. With `user_share`, each item contributes that share of user photos.
    """

    def __init__(
        self,
        images: TrainingSet,
        *,
        p: int,
        k: int,
        seed: int,
        by: str | None = None,
        together: int = 2,
        user_share: float | None = None,
        repeat: bool = False,
        apart: bool = False,
    ) -> None:
        """Index the images.

        Args:
            images: the images to draw from.
            p: items in a batch.
            k: images of each item.
            seed: with the epoch, it decides all draws.
            by: `category` or `parent`: what grouped items share; None for no groups. An item of unknown category is in
                no group.
            together: with `by`, number of items of a category or parent in a group; fewer where there are no more.
            user_share: share of user photos among an item's K images, where it has both kinds: at least one of each.
                None takes images from the domains in turn.
            repeat: with `user_share`, whether an item with too few images of one kind repeats them; otherwise images of
                the other kind fill the gap.
            apart: draw an item's images from as many sequences (of frames of a video) as it has: neighbouring frames
                are positives that teach little.

        Raises:
            ConfigError: a batch needs more items than there are, an argument is out of range, or the images are of no
                sequences.
        """
        super().__init__(images, p=p, k=k, seed=seed)
        if apart and images.sequences is None:
            raise ConfigError(
                "`sampler.apart=true`: the catalogue has no column `sequence` of names or numbers; name yours with "
                "`data.columns.sequence=...`"
            )
        self._sequences = images.sequences if apart else None
        _check(p=p, k=k, by=by, together=together, user_share=user_share)
        # Rounds are permutations of positions in this list.
        self._items = list(self._images)
        self._labels = _labels(images, list(self._images.values()), by)
        self._together, self._user_share, self._repeat = together, user_share, repeat

    def _item_batches(self, rng: np.random.Generator) -> Iterator[list[int]]:
        order = np.empty(0, dtype=np.int64)
        for _ in range(self._batches):
            if len(order) < self._p:
                # The rest of the last round comes first; an item must not be in one batch twice.
                order = np.concatenate([order, self._round(order, rng), order])
            chosen, order = order[: self._p], order[self._p :]
            yield [self._items[position] for position in chosen.tolist()]

    def _round(self, rest: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """All items but `rest`, in a new order."""
        if self._labels is None:
            fresh = rng.permutation(len(self._items))
            return fresh[~np.isin(fresh, rest)]
        items = np.setdiff1d(np.arange(len(self._items)), rest)
        return grouped_order(
            items, self._labels[items], together=self._together, p=self._p, room=self._p - len(rest), rng=rng
        )

    def _draw(self, item: int, rng: np.random.Generator) -> np.ndarray:
        if self._user_share is None:
            return draw_images(self._images[item], self._k, rng, self._sequences)
        return draw_across_domains(self._images[item], self._k, self._user_share, self._repeat, rng, self._sequences)


def _labels(images: TrainingSet, groups: list[dict[int, np.ndarray]], by: str | None) -> np.ndarray | None:
    """The category or parent of each item, taken from its first image."""
    if by is None:
        return None
    firsts = [min(int(rows[0]) for rows in group.values()) for group in groups]
    return (images.categories if by == "category" else images.parents)[firsts]


def _check(*, p: int, k: int, by: str | None, together: int, user_share: float | None) -> None:
    if by not in (None, "category", "parent"):
        raise ConfigError(f"`sampler.by={by}`: must be category, parent or null")
    if by is not None and not 1 <= together <= p:
        raise ConfigError(f"`sampler.together={together}`: from 1 to the items of a batch, `data.p={p}`")
    if user_share is not None and not 0 < user_share < 1:
        raise ConfigError(f"`sampler.user_share={user_share}`: must lie between 0 and 1, both excluded")
    if user_share is not None and k < 2:
        raise ConfigError(f"`data.k={k}`: an item with a user photo and a catalogue image needs `data.k=2`")
