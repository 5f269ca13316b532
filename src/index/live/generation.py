"""A generation: the main index and its rows, never changed once written.

A live index's folder holds

    CURRENT                     which generation counts: replaced by a rename
    generation-00000003/        index.faiss, vectors.npy (exact, read by merges only), rows.arrow, manifest.json
    log-00000004, ...           the changes since, in segments
    LOCK                        held by the writer
"""

import hashlib
import json
import os
import re
import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.errors import BundleError
from src.index.faiss_index import FaissIndex
from src.index.filters import FilterColumns
from src.index.live.durable import replace_file, sync_file, sync_folder
from src.index.live.log import segment_path, segments
from src.index.live.settings import LiveSettings

__all__ = [
    "CURRENT",
    "Generation",
    "GenerationFacts",
    "current_generation",
    "generation_path",
    "publish",
    "remove_leftovers",
    "write_generation",
    "write_vectors",
]

CURRENT = "CURRENT"
_MANIFEST = "manifest.json"
_FORMAT = 1
_SORTED = pa.schema([("_by_image", pa.int64()), ("_by_item", pa.int64()), ("_item", pa.int64())])


@dataclass(frozen=True)
class GenerationFacts:
    """What a generation's manifest says.

    Attributes:
        number: counts from 0.
        sequence: the last change that it holds.
        first_segment: the log segment that the changes behind it begin with.
        rows: images.
        dim: numbers in a vector.
        settings: how the index is kept.
        recall_at_10: against exact search, measured before it was taken.
    """

    number: int
    sequence: int
    first_segment: int
    rows: int
    dim: int
    settings: LiveSettings
    recall_at_10: float


class Generation:
    """The main index, opened.

    Attributes:
        facts: what its manifest says.
        index: row i of it is row i of everything else.
        vectors: float32 array of shape (rows, dim), exact; mapped, so that it takes memory only while it is read.
        rows: table of `image_id`, `item_id` and the attributes.
        item_of_row: int64 array of shape (rows,), numbers 0 to `items` - 1.
        items: number of items.
    """

    def __init__(
        self, folder: Path, *, index: FaissIndex | None = None, manifest: str = "", verify: bool = False
    ) -> None:
        """Open a generation.

        Args:
            folder: the generation's.
            index: the index that was written to it, where it is in memory already.
            manifest: the SHA-256 that its manifest must have; empty: any.
            verify: read all files to compare their hashes.

        Raises:
            BundleError: a file is not what was written.
        """
        if manifest and _sha256(folder / _MANIFEST) != manifest:
            raise BundleError(f"{folder / _MANIFEST}: not the one that {CURRENT} names; restore the folder from a copy")
        facts, files = _read_manifest(folder / _MANIFEST)
        for name, (size, digest) in files.items():
            path = folder / name
            if path.stat().st_size != size or (verify and _sha256(path) != digest):
                raise BundleError(f"{path}: not the file that was written; restore the folder from a copy")
        self.facts = facts
        if index is None:
            index = FaissIndex.load(folder / "index.faiss", mapped=True, ef_search=facts.settings.ef_search)
        self.index = index
        self.vectors = _mapped(folder / "vectors.npy", (facts.rows, facts.dim))
        table = pa.ipc.open_file(pa.memory_map(str(folder / "rows.arrow"))).read_all()
        self.rows = table.drop_columns(_SORTED.names)
        self.item_of_row = table["_item"].to_numpy()
        self.items = int(self.item_of_row.max(initial=-1)) + 1
        self._by_image = table["_by_image"].to_numpy()
        self._by_item = table["_by_item"].to_numpy()

    @cached_property
    def filters(self) -> FilterColumns:
        """The columns, ready for filtering; made when first asked for."""
        return FilterColumns(self.rows.drop_columns(["image_id"]))

    def row_of(self, image_id: str) -> int | None:
        """The row of an image, by bisection: no dictionary of all keys is held in memory."""
        keys = self.rows["image_id"]
        place = bisect_left(self._by_image, image_id, key=lambda row: keys[int(row)].as_py())
        if place == len(keys):
            return None
        row = int(self._by_image[place])
        return row if keys[row].as_py() == image_id else None

    def rows_of(self, item_id: str) -> np.ndarray:
        """The rows of an item's images, int64."""
        keys = self.rows["item_id"]
        start = bisect_left(self._by_item, item_id, key=lambda row: keys[int(row)].as_py())
        end = bisect_right(self._by_item, item_id, lo=start, key=lambda row: keys[int(row)].as_py())
        return self._by_item[start:end]


def generation_path(folder: Path, number: int) -> Path:
    """Where generation `number` stands."""
    return folder / f"generation-{number:08d}"


def write_generation(part: Path, facts: GenerationFacts, index: FaissIndex, rows: pa.Table) -> Path:
    """Complete a generation and move it to its place; it is on the disk when this returns.

    Args:
        part: a folder in the live index's folder that holds `vectors.npy` already.
        facts: go into the manifest.
        index: row i is row i of `rows`.
        rows: `image_id`, `item_id` and the attributes.

    Returns:
        The finished generation's folder.
    """
    index.save(part / "index.faiss")
    with pa.OSFile(str(part / "rows.arrow"), "wb") as sink:
        table = _with_orders(rows)
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    files = {name: ((part / name).stat().st_size, _sha256(part / name)) for name in _FILES}
    manifest = {"format": _FORMAT, **asdict(facts), "files": files}
    (part / _MANIFEST).write_text(json.dumps(manifest, indent=1))
    for path in part.iterdir():
        sync_file(path)
    sync_folder(part)
    place = generation_path(part.parent, facts.number)
    os.rename(part, place)
    sync_folder(part.parent)
    return place


_FILES = ("index.faiss", "vectors.npy", "rows.arrow")


def write_vectors(path: Path, blocks: Iterator[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Write float32 vectors block by block and map them.

    Written and not mapped for writing: a full disk is then an error and not the death of the process.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.float32).data)
    return _mapped(path, shape)


def _mapped(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Vectors behind the header that `write_vectors` wrote.

    Not by `np.load`: its parser fails now and then where two threads open files (SystemError; CPython's issue 106905).
    """
    return np.memmap(path, np.float32, "r", path.stat().st_size - 4 * shape[0] * shape[1], shape)


def publish(folder: Path, number: int) -> None:
    """Make a finished generation the one that counts."""
    digest = _sha256(generation_path(folder, number) / _MANIFEST)
    replace_file(folder / CURRENT, f"{number} {digest}\n".encode())


def current_generation(folder: Path) -> tuple[int, str]:
    """The number of the generation that counts, and the SHA-256 of its manifest.

    Raises:
        BundleError: the folder holds no live index.
    """
    try:
        text = (folder / CURRENT).read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        raise BundleError(f"{folder}: no live index here (no {CURRENT}); make one with LiveIndex.create") from None
    found = re.fullmatch(r"(\d+) ([0-9a-f]{64})\n", text)
    if found is None:
        raise BundleError(f"{folder / CURRENT}: damaged; restore the folder from a copy")
    return int(found[1]), found[2]


def remove_leftovers(folder: Path, facts: GenerationFacts | None) -> None:
    """Remove what killed, abandoned and finished merges left. Readers keep what they have open: the kernel does.

    Args:
        folder: the live index's, locked for writing.
        facts: of the generation that counts; None: there is none yet.
    """
    # Nothing goes before the pointer away from it is on the disk.
    sync_folder(folder)
    for path in folder.glob("generation-*"):
        if facts is None or path != generation_path(folder, facts.number):
            shutil.rmtree(path)
    for number in segments(folder):
        if facts is None or number < facts.first_segment:
            segment_path(folder, number).unlink()


def _with_orders(rows: pa.Table) -> pa.Table:
    """Append the orders by image and by item, and the number of each row's item."""
    by_image = pc.sort_indices(rows["image_id"]).to_numpy().astype(np.int64)
    by_item = pc.sort_indices(rows["item_id"]).to_numpy().astype(np.int64)
    item = np.empty(len(rows), np.int64)
    if len(rows):
        ordered = rows["item_id"].take(pa.array(by_item)).combine_chunks()
        item[by_item] = np.concatenate([[0], np.cumsum(pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(False))])
    for name, column in zip(_SORTED.names, (by_image, by_item, item), strict=True):
        rows = rows.append_column(name, pa.array(column))
    return rows


def _read_manifest(path: Path) -> tuple[GenerationFacts, dict[str, Any]]:
    manifest = json.loads(path.read_bytes())
    if manifest.pop("format") != _FORMAT:
        raise BundleError(f"{path}: not of format {_FORMAT}; create the live index again")
    files = manifest.pop("files")
    settings = LiveSettings(**manifest.pop("settings"))
    return GenerationFacts(**manifest, settings=settings), files


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
