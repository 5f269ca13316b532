"""What is in a bundle or a Milvus collection, in one line a category: python -m src.index.digest PLACE [PLACE].

A place is a bundle's folder, or a Milvus address (or a file of milvus-lite) with `#COLLECTION`, which may be an alias.
Two places are compared: the categories that differ are listed, and the exit code is 2. `MILVUS_TOKEN` is the token.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from src.contracts.bundle import ITEMS_TABLE, VECTOR_HASHES, Bundle, open_bundle
from src.contracts.errors import BundleError, ConfigError, LookalikeError
from src.contracts.exit_codes import exit_with_message
from src.index.vector_digest import Digest

__all__ = ["digest_bundle", "digest_collection", "main"]

Progress = Callable[[int], None]
_PAGE = 65_536


def digest_bundle(bundle: Bundle, progress: Progress = lambda rows: None) -> Digest:
    """The digest of what a bundle holds as exported: the version of each row is 0.

    Raises:
        BundleError: it was exported without the hashes of its vectors.
    """
    hashes = np.load(bundle.path(VECTOR_HASHES), mmap_mode="r", allow_pickle=False)
    table = pq.ParquetFile(bundle.path(ITEMS_TABLE))
    if table.metadata.num_rows != len(hashes):
        raise BundleError(
            f"bundle {bundle.root}: {len(hashes)} hashes for {table.metadata.num_rows} images; export it again"
        )
    names = [name for name in ("image_id", "category") if name in table.schema_arrow.names]
    digest, start = Digest(), 0
    for batch in table.iter_batches(_PAGE, columns=names):
        image_ids = batch.column("image_id").to_pylist()
        categories = batch.column("category").to_pylist() if "category" in names else [None] * len(image_ids)
        part = hashes[start : start + len(image_ids)].tolist()
        digest.add(zip(categories, image_ids, [0] * len(image_ids), part, strict=True))
        start += len(image_ids)
        progress(start)
    return digest


def digest_collection(
    uri: str, collection: str, *, token: str = "", timeout: float = 60.0, progress: Progress = lambda rows: None
) -> Digest:
    """The digest of a Milvus collection, read page by page.

    Raises:
        LookalikeError: the server is away or refuses, the collection was not made by an export, or it was changed while
            it was read.
    """
    from src.index.milvus_index import MilvusIndex

    with MilvusIndex(uri, collection, token=token, timeout=timeout) as index:
        columns = [name for name in ("category", "version", "vector_hash") if name in index.columns]
        if "vector_hash" not in columns:
            raise LookalikeError(f"collection `{collection}` has no column vector_hash; make it with export.py")
        digest, count = Digest(), len(index)
        for page in index.scan(columns, batch=8000):
            digest.add(
                (row.get("category"), row["image_id"], row["version"] or 0, row["vector_hash"] or 0) for row in page
            )
            progress(digest.count)
        if not digest.count == count == len(index):
            raise LookalikeError(
                f"collection `{collection}` changed while it was read ({count} rows before, {len(index)} after, "
                f"{digest.count} read); ask again when its writers rest"
            )
    return digest


def _digest(place: str, collection: str) -> Digest:
    def progress(rows: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{place}: {rows:,} rows", end="", file=sys.stderr, flush=True)

    remote = "://" in place or place.partition("#")[0].endswith(".db")
    uri, _, named = place.partition("#") if remote else (place, "", "")
    collection = named or collection
    if remote and collection:
        token = os.environ.get("MILVUS_TOKEN", "")
        digest = digest_collection(uri, collection, token=token, progress=progress)
    elif remote:
        raise ConfigError(f"{place}: name a collection, {place}#NAME or --collection NAME")
    else:
        digest = digest_bundle(open_bundle(Path(place)), progress)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return digest


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m src.index.digest", description=__doc__)
    parser.add_argument("places", nargs="+", metavar="PLACE", help="a bundle's folder, or URI#COLLECTION")
    parser.add_argument("--collection", default="", metavar="NAME", help="of the addresses that name none")
    parsed = parser.parse_args(arguments)
    if len(parsed.places) > 2:
        parser.error("give one place, or two to compare")
    with exit_with_message():
        digests = [_digest(place, parsed.collection) for place in parsed.places]
        names = digests[0].different(Digest()) if len(digests) == 1 else digests[0].different(digests[1])
        for name in names:
            cells = [f"{one.rows.get(name, 0):>12,} {one.sums.get(name, 0):032x}" for one in digests]
            print(f"{'  '.join(cells)}  {'(none)' if name is None else name}")
        for place, one in zip(parsed.places, digests, strict=True):
            print(f"{one.count:>12,} {one.total}  all of {place.rpartition('@')[2]}")
        if len(digests) == 2:
            if names:
                raise LookalikeError(f"the two places differ in {len(names)} categories")
            print("the two places hold the same")


if __name__ == "__main__":
    main()
