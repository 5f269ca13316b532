"""Check everything about a bundle and say what was found: python -m src.export.verify BUNDLE."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.contracts.bundle import (
    ENCODER,
    GOLDEN,
    INDEX,
    ITEMS_ARROW,
    ITEMS_TABLE,
    THUMBNAILS,
    WORDS,
    Bundle,
    open_bundle,
)
from src.contracts.errors import BundleError, LookalikeError
from src.contracts.exit_codes import exit_with_message
from src.contracts.tables import validate_items
from src.export.runtime import EncoderRuntime, open_encoder
from src.export.runtime.golden import read_golden
from src.index.faiss_index import FaissIndex
from src.search.items import Items
from src.search.items_file import arrange_items, map_items
from src.search.words import MOST_RANKED, WORD_COLUMNS, Words, read_words

__all__ = ["main", "verify"]

_SEARCHES = 32
_SELF = 0.99
"""Cosine that a stored vector has to itself at least, in the coarsest storage."""


def verify(root: Path, *, public_key: Path | None = None) -> Iterator[str]:
    """Check a bundle from its hashes to a search.

    Args:
        root: its folder.
        public_key: PEM file of the key that it must be signed with; without one a signature is not looked at.

    Yields:
        A line for each thing that was found in order.

    Raises:
        BundleError: after all checks that can still be made, each thing that was not.
        ConfigError: no Ed25519 public key in the file.
    """
    bundle = open_bundle(root, public_key=public_key)
    sizes = sum(file["bytes"] for file in bundle.content["files"].values())
    yield f"manifest: format, seal and id {bundle.bundle_id[:16]}"
    if public_key is not None:
        yield f"signature: of the manifest, made with the key of {public_key}"
    yield f"files: {len(bundle.content['files'])} of {sizes:,} bytes, each with the hash that the manifest names"
    yield f"preprocessing: {bundle.preprocessing.hash}, {bundle.preprocessing.size} pixels"
    problems: list[str] = []
    for check in (_golden_pixels, _encoder, _tables, _items_arrow, _words, _index):
        try:
            yield check(bundle)
        except LookalikeError as error:
            problems.append(str(error))
    if problems:
        raise BundleError(f"bundle {root}: {len(problems)} of its parts are wrong\n" + "\n".join(problems))


def _golden_pixels(bundle: Bundle) -> str:
    if GOLDEN not in bundle.content["files"]:
        return "golden images: the bundle has none"
    golden = read_golden(bundle.path(GOLDEN))
    golden.pixels(bundle.preprocessing)
    return f"golden images: the pixels of all {len(golden.images)} are those of the exporting machine"


def _encoder(bundle: Bundle) -> str:
    encoder = open_encoder(bundle)
    size, dim = bundle.preprocessing.size, bundle.content["dim"]
    if encoder.size != size:
        raise BundleError(f"{ENCODER} takes {encoder.size} pixels, the preprocessing makes {size}")
    found = encoder.embed(np.full((1, size, size, 3), 128, np.uint8)).shape[1]
    if found != dim:
        raise BundleError(f"{ENCODER} gives {found} numbers, the manifest says {dim}")
    return f"encoder: {encoder.description}, {dim} numbers, {_golden_cosine(bundle, encoder)}"


def _golden_cosine(bundle: Bundle, encoder: EncoderRuntime) -> str:
    if GOLDEN not in bundle.content["files"]:
        return "not compared with golden images"
    golden = read_golden(bundle.path(GOLDEN))
    cosine = golden.centred_cosine(encoder.embed(golden.pixels(bundle.preprocessing)))
    return f"golden images' centred cosine {cosine:.6f}"


def _tables(bundle: Bundle) -> str:
    try:
        items = validate_items(pq.read_table(bundle.path(ITEMS_TABLE)))
        with pa.memory_map(str(bundle.path(THUMBNAILS))) as source:
            pictures = pa.ipc.open_file(source).read_all()
            shown = pictures["image_id"].to_pylist()
    except (pa.ArrowException, KeyError) as error:
        raise BundleError(f"{ITEMS_TABLE} or {THUMBNAILS} cannot be read ({error})") from None
    if shown != items["image_id"].to_pylist():
        raise BundleError(f"{THUMBNAILS} and {ITEMS_TABLE} do not hold the same images in the same order")
    return f"items: {len(items)} images of {len(items['item_id'].unique())} items, and their pictures in the same order"


def _items_arrow(bundle: Bundle) -> str:
    served = map_items(bundle.path(ITEMS_ARROW))
    expected = arrange_items(validate_items(pq.read_table(bundle.path(ITEMS_TABLE))))
    different = [name for name in expected.column_names if not _same(served, expected, name)]
    different += [name for name in served.column_names if name not in expected.column_names]
    if different:
        raise BundleError(f"{ITEMS_ARROW} differs from {ITEMS_TABLE} in {', '.join(different)}")
    return f"items as served: {ITEMS_ARROW} has the rows of {ITEMS_TABLE}, with their orders and groups"


def _same(served: pa.Table, expected: pa.Table, name: str) -> bool:
    return name in served.column_names and _comparable(served[name]).equals(_comparable(expected[name]))


def _comparable(column: pa.ChunkedArray) -> pa.Array:
    """A column whose values equal themselves: floats, of which NaN does not, become their bits."""
    whole = column.combine_chunks()
    return whole.view(f"int{whole.type.bit_width}") if pa.types.is_floating(whole.type) else whole


def _words(bundle: Bundle) -> str:
    items, words = Items.open(bundle.path(ITEMS_ARROW)), Words(bundle.path(WORDS))
    if words.count != items.count:
        raise BundleError(f"{WORDS} has the words of {words.count} items, {ITEMS_ARROW} has {items.count} items")
    columns = [name for name in WORD_COLUMNS if name in items.table.column_names]
    for number in np.unique(np.linspace(0, items.count - 1, min(_SEARCHES, items.count)).astype(np.int64)):
        row = items.first_row(int(number))
        text = " ".join(value for value in items.described([row], columns)[0].values() if value)
        found = words.search(text, MOST_RANKED)
        if read_words(text) and row not in found and len(found) < MOST_RANKED:
            raise BundleError(f"{WORDS}: item {items.item_ids([row])[0]!r} is not found by its own words, {text!r}")
    return f"words: of {words.count} items, some of which were searched and found themselves"


def _index(bundle: Bundle) -> str:
    if bundle.content["index"].get("backend") == "milvus":
        return _collection(bundle)
    index = FaissIndex.load(bundle.path(INDEX), **bundle.content["index"]["search"])
    rows = pq.read_metadata(bundle.path(ITEMS_TABLE)).num_rows
    if len(index) != rows or index.dim != bundle.content["dim"]:
        raise BundleError(
            f"{INDEX} has {len(index)} vectors of {index.dim} numbers for {rows} images and {bundle.content['dim']}"
        )
    asked = np.unique(np.linspace(0, len(index) - 1, min(_SEARCHES, len(index))).astype(np.int64))
    if not len(asked):
        return "index: empty"
    scores, _ = index.search(index.vectors(asked), 1)
    if not scores.min() >= _SELF:
        raise BundleError(f"{INDEX}: a stored vector finds nothing nearer to itself than {scores.min():.4f}")
    return f"index: {index.layout}, {len(index)} vectors; {len(asked)} of them were searched and found themselves"


def _collection(bundle: Bundle) -> str:
    name, uri = bundle.content["index"]["collection"], os.environ.get("MILVUS_URI", "")
    if not uri:
        return f"index: Milvus collection {name}; not looked at (set MILVUS_URI to have it checked)"
    from src.index.bundle_collection import open_collection
    from src.index.digest import digest_collection

    token = os.environ.get("MILVUS_TOKEN", "")
    open_collection(bundle, uri, token=token).close()
    found = digest_collection(uri, name, token=token)
    if found.total != bundle.content["index"]["digest"]:
        raise BundleError(
            f"Milvus collection {name} is not as it was exported: digest {found.total} of {found.count} rows"
        )
    return f"index: Milvus collection {name}, {found.count} rows as they were exported"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m src.export.verify", description=__doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that export.py wrote")
    parser.add_argument(
        "--public-key",
        type=Path,
        metavar="FILE",
        help="Ed25519 key (PEM) that it must be signed with; without one a signature is not looked at",
    )
    parsed = parser.parse_args(arguments)
    # Read when FAISS is imported or first used.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with exit_with_message():
        for line in verify(parsed.bundle, public_key=parsed.public_key):
            print(f"ok  {line}", flush=True)


if __name__ == "__main__":
    main()
