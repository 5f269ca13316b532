"""A generation and the changes since: what recovery, the writer and followers build in memory."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from src.index.live.changes import Change, DeleteImages, Upsert
from src.index.live.delta import ALIVE, Delta
from src.index.live.generation import Generation
from src.index.live.snapshot import Snapshot

__all__ = ["LiveState"]


class LiveState:
    """Applies changes and publishes snapshots. One thread applies; any thread reads `snapshot`.

    Attributes:
        generation: the main index.
        sequence: the last change that was applied.
        snapshot: the state after it; replaced as a whole, never altered.
    """

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.sequence = generation.facts.sequence
        self._delta = Delta(generation.item_of_row, generation.facts.dim)
        self._row_of: dict[str, int] = {}
        self._new_items: dict[str, int] = {}
        self._main_dead = 0
        self.snapshot = self._take_snapshot()

    @property
    def schema(self) -> pa.Schema:
        """Of the rows: `image_id`, `item_id` and the attributes."""
        return self.generation.rows.schema

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self.generation.facts.dim

    def apply(self, sequence: int, changes: Iterable[Change]) -> None:
        """Make changes together, then publish them: a snapshot has all of them or none."""
        for change in changes:
            if isinstance(change, Upsert):
                self._upsert(sequence, change)
            elif isinstance(change, DeleteImages):
                for image_id in change.image_ids:
                    self._bury(sequence, image_id)
            else:
                for item_id in change.item_ids:
                    for image_id in self._images_of(item_id):
                        self._bury(sequence, image_id)
        self.sequence = sequence
        self.snapshot = self._take_snapshot()

    def moved_to(self, generation: Generation, merged: Snapshot) -> "LiveState":
        """The same state on top of a newer generation.

        Args:
            generation: holds the rows that are alive in `merged`, in their order.
            merged: an earlier snapshot of this state.
        """
        state = LiveState(generation)
        died_at = self._delta.died_at[: len(merged)][merged.alive]
        state._delta.died_at[: len(died_at)] = died_at
        state._main_dead = int(np.count_nonzero(died_at != ALIVE))
        later = slice(len(merged), self._delta.main + self._delta.rows)
        alive = np.flatnonzero(self._delta.died_at[later] == ALIVE)
        if len(alive):
            place = alive + len(merged) - self._delta.main
            rows = pa.Table.from_batches(self._delta.chunks, self.schema).take(pa.array(place)).combine_chunks()
            state._upsert(self.sequence, Upsert(rows.to_batches()[0], self._delta.vectors[place]))
        state.sequence = self.sequence
        state.snapshot = state._take_snapshot()
        return state

    def _take_snapshot(self) -> Snapshot:
        return Snapshot(self.generation, self._delta, self.sequence, self._main_dead)

    def _upsert(self, sequence: int, upsert: Upsert) -> None:
        image_ids = upsert.rows.column("image_id").to_pylist()
        for image_id in image_ids:
            self._bury(sequence, image_id)
        start = self._delta.main + self._delta.rows
        items = [self._item_number(item_id) for item_id in upsert.rows.column("item_id").to_pylist()]
        self._delta.append(upsert.vectors, np.array(items, np.int64), upsert.rows)
        self._row_of.update(zip(image_ids, range(start, start + len(image_ids)), strict=True))

    def _bury(self, sequence: int, image_id: str) -> None:
        row = self._row_of.pop(image_id, None)
        if row is None:
            row = self.generation.row_of(image_id)
            if row is None or self._delta.died_at[row] != ALIVE:
                return
            self._main_dead += 1
        self._delta.died_at[row] = sequence

    def _item_number(self, item_id: str) -> int:
        number = self._find_item(item_id)
        if number is None:
            number = self._new_items[item_id] = self.generation.items + len(self._new_items)
        return number

    def _find_item(self, item_id: str) -> int | None:
        if item_id in self._new_items:
            return self._new_items[item_id]
        rows = self.generation.rows_of(item_id)
        return int(self.generation.item_of_row[rows[0]]) if len(rows) else None

    def _images_of(self, item_id: str) -> list[str]:
        number = self._find_item(item_id)
        if number is None:
            return []
        delta = self._delta
        numbers = delta.item_of_row[delta.main : delta.main + delta.rows]
        rows = np.concatenate([self.generation.rows_of(item_id), delta.main + np.flatnonzero(numbers == number)])
        # A dead row says nothing: its image may have come back with another item.
        rows = rows[delta.died_at[rows] == ALIVE]
        return [str(image_id) for image_id in self._take_snapshot().image_ids(rows)]
