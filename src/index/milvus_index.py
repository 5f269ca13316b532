"""Milvus as an index: milvus-lite in a local file, or a server, with the same calls. Needs the extra `milvus`.

Importing this takes seconds (pymilvus brings pandas and gRPC): nothing else imports it.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from src.contracts.errors import ConfigError, LookalikeError
from src.index.faiss_index import FaissIndex
from src.index.filters import Between, Condition
from src.index.milvus_capabilities import Capabilities
from src.index.milvus_columns import arrow_schema
from src.index.milvus_connection import connect, disconnect, milvus_calls
from src.index.milvus_filters import expression, quoted
from src.index.milvus_kinds import GROUPING_KINDS, build_params, search_params
from src.index.milvus_scan import SCAN_KEY, scan_key, scan_ranges
from src.index.milvus_schema import COLUMNS, KEYS, check_columns, collection_schema, declared, described_columns
from src.index.recall import IndexQuality
from src.index.upserts import Upsert, checked_keys, make_upsert

__all__ = ["Found", "MilvusIndex"]

_BATCH = 1000
_MOST = 16_384
"""Results that a Milvus server gives at most."""


class Found(NamedTuple):
    """An image that was found.

    Attributes:
        score: cosine, -1 to 1.
        row: its columns that were asked for, by name; `image_id` and `item_id` always.
    """

    score: float
    row: dict[str, Any]


class MilvusIndex:
    """A collection of images by `image_id`, searched by cosine.

    Any number of threads may use it. What `upsert` and `delete` do is seen by every later search when `consistency` is
    Strong; on a cluster Bounded is quicker and may be seconds behind. A `consistency` of a method holds for that call;
    empty for the index's own.

    Attributes:
        collection: its name; where an alias was opened, that of the collection that it pointed at then, also when it is
            moved: what is embedded for one collection must not get into the next.
        dim: of the vectors.
        kind: of its index.
        columns: its columns by name, `vector` left out.
        capabilities: what the server can do.
        properties: what `create` was given.
    """

    def __init__(
        self,
        uri: str,
        collection: str,
        *,
        token: str = "",
        timeout: float = 10.0,
        consistency: str = "Strong",
        ef_search: int = 64,
        nprobe: int = 32,
    ) -> None:
        """Open a collection that `create` made.

        Args:
            uri: path of a file that ends in `.db` (milvus-lite, on this machine), or a server's address.
            collection: its name.
            token: `user:password` or an API key; the error messages don't show it.
            timeout: seconds until a call that is not answered raises.
            consistency: Strong, Bounded, Session or Eventually.
            ef_search: HNSW candidates while searching.
            nprobe: IVF lists that are searched.

        Raises:
            LookalikeError: the server is away or refuses, or the collection is not there.
        """
        self._client, self._place = connect(uri, token, timeout)
        self._uri, self._timeout, self._consistency = uri, timeout, consistency
        self._ef_search, self._nprobe = ef_search, nprobe
        self.collection = collection
        self._closed = False
        try:
            with self._calls("open"):
                self.capabilities = Capabilities.of(str(self._client.get_server_version(timeout=timeout)))
                described = self._client.describe_collection(collection, timeout=timeout)
                # After a restart it is not in memory at once, and with milvus-lite not by itself.
                self._client.load_collection(collection, timeout=timeout)
                self.collection = str(described["collection_name"])
                self.dim, self.columns = described_columns(collection, described)
                self.properties = dict(described.get("properties") or {})
                self.kind = str(self._client.describe_index(collection, "vector", timeout=timeout)["index_type"])
        except BaseException:
            self.close()
            raise
        self._schema = arrow_schema(column for column in self.columns.values() if column.name != SCAN_KEY)

    @classmethod
    def create(
        cls,
        uri: str,
        collection: str,
        *,
        dim: int,
        attributes: Mapping[str, pa.DataType] | None = None,
        partition_by: str = "",
        properties: Mapping[str, str] | None = None,
        shards: int = 1,
        kind: str = "HNSW",
        m: int = 32,
        ef_construction: int = 200,
        nlist: int = 1024,
        token: str = "",
        timeout: float = 10.0,
        **options: Any,
    ) -> "MilvusIndex":
        """Make a collection and open it.

        Args:
            uri: as in `MilvusIndex`.
            collection: letters, digits and underscores.
            dim: of the vectors.
            attributes: columns that filters can use: strings, booleans, int64, floats, dates or times (microseconds).
            partition_by: a string attribute, typically the category: its values lie apart, so that a filter on it
                searches less. Where the server cannot, it is a column like any other.
            properties: what is to be known of the collection.
            shards: write channels; more take in more rows a second.
            kind: the index; which there are depends on the server.
            m: HNSW links per vector and level.
            ef_construction: HNSW candidates while building.
            nlist: IVF lists.
            token: as in `MilvusIndex`.
            timeout: as in `MilvusIndex`.
            options: the other arguments of `MilvusIndex`.

        Raises:
            ConfigError: a name, a type or a kind that can't be, or a collection that is there already.
            LookalikeError: the server is away or refuses.
        """
        columns = {**KEYS, SCAN_KEY: pa.int64(), **(attributes or {})}
        check_columns(collection, columns, partition_by)
        client, place = connect(uri, token, timeout)
        try:
            with milvus_calls(place, "create"):
                capabilities = Capabilities.of(str(client.get_server_version(timeout=timeout)))
                capabilities.check_kind(kind)
                if client.has_collection(collection, timeout=timeout):
                    raise ConfigError(f"Milvus at {place} has a collection `{collection}` already; name another")
                declared_columns = declared(columns, partition_by=partition_by, nulls=capabilities.nulls)
                key = partition_by if capabilities.partition_keys else ""
                schema, meanings = collection_schema(client, declared_columns, dim=dim, partition_by=key)
                params = client.prepare_index_params()
                build = build_params(kind, m=m, ef_construction=ef_construction, nlist=nlist)
                params.add_index("vector", index_type=kind, metric_type="COSINE", params=build)
                client.create_collection(
                    collection,
                    schema=schema,
                    index_params=params,
                    properties={**(properties or {}), COLUMNS: meanings},
                    num_shards=shards,
                    # Loading an empty collection takes seconds on a server.
                    timeout=max(timeout, 60),
                )
            return cls(uri, collection, token=token, timeout=timeout, **options)
        finally:
            disconnect(client, uri)

    def load(
        self,
        image_ids: Sequence[str],
        item_ids: Sequence[str],
        vectors: np.ndarray,
        attributes: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Load many rows, and flush: without it, searches scan what has no index yet (seconds a query).

        Arguments and errors as in `upsert`.
        """
        self.upsert(image_ids, item_ids, vectors, attributes)
        self.flush()

    def flush(self) -> None:
        """Seal what was written, and wait until its index is built, which takes as long as it takes."""
        with self._calls("flush"):
            self._client.flush(self.collection, timeout=max(self._timeout, 600))
        while True:
            with self._calls("index"):
                state = self._client.describe_index(self.collection, "vector", timeout=self._timeout)
            if state.get("state") == "Failed":
                raise LookalikeError(f"Milvus at {self._place}: the index of `{self.collection}` could not be built")
            # Not its state: 2.3.5 says "Finished" before it begins.
            if not int(state.get("pending_index_rows", 0)):
                return
            time.sleep(0.2)

    def upsert(
        self,
        image_ids: Sequence[str],
        item_ids: Sequence[str],
        vectors: np.ndarray,
        attributes: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Add images, or replace those whose image_id is known; in batches of 1000, each a call.

        Args:
            image_ids: n keys; of one that stands twice, the later row counts.
            item_ids: n items.
            vectors: float32 array of shape (n, dim), L2-normalised.
            attributes: columns of n values; those that are left out are null.

        Raises:
            TableError: rows that do not fit the collection.
            LookalikeError: the server is away or refuses; batches before that are in it.
        """
        change = self.check(image_ids, item_ids, vectors, attributes)
        for start in range(0, len(change.vectors), _BATCH):
            part = change.rows.slice(start, _BATCH)
            names = [*part.schema.names, SCAN_KEY, "vector"]
            written = [self.columns[name].written(part.column(name)) for name in part.schema.names]
            written.append([scan_key(image_id) for image_id in part.column("image_id").to_pylist()])
            whole = zip(*written, change.vectors[start : start + _BATCH], strict=True)
            rows = [dict(zip(names, row, strict=True)) for row in whole]
            with self._calls("upsert"):
                self._client.upsert(self.collection, rows, timeout=self._timeout)

    def check(
        self,
        image_ids: Sequence[str],
        item_ids: Sequence[str],
        vectors: np.ndarray,
        attributes: Mapping[str, Sequence[Any]] | None = None,
    ) -> Upsert:
        """What `upsert` would write; arguments and `TableError` as there."""
        return make_upsert(self._schema, self.dim, image_ids, item_ids, vectors, attributes)

    def delete(self, image_ids: Sequence[str]) -> None:
        """Make images unfindable; unknown ones are no error."""
        self._delete("image_id", image_ids)

    def delete_items(self, item_ids: Sequence[str]) -> None:
        """Make all images of items unfindable; unknown ones are no error."""
        self._delete("item_id", item_ids)

    def _delete(self, column: str, keys: Sequence[str]) -> None:
        keys = checked_keys(keys)
        for start in range(0, len(keys), _BATCH):
            names = ", ".join(quoted(key) for key in keys[start : start + _BATCH])
            with self._calls("delete"):
                self._client.delete(self.collection, filter=f"{column} in [{names}]", timeout=self._timeout)

    def search(
        self, vectors: np.ndarray, k: int, conditions: Iterable[Condition] = (), *, consistency: str = ""
    ) -> tuple[np.ndarray, list[list[str | None]]]:
        """The k nearest images of each query.

        Args:
            vectors: float32 array of shape (queries, dim), L2-normalised.
            k: images wanted, at most 16,384.
            conditions: only images that meet all of them are found.
            consistency: see above.

        Returns:
            Cosine similarities, float32 of shape (queries, k), and the image_ids; -inf and
            None where there are no more.

        Raises:
            FilterError: a condition on an unknown column, or of the wrong type.
            LookalikeError: the server is away or refuses.
        """
        hits = self._search(vectors, k, conditions, consistency=consistency)
        scores = np.full((len(hits), k), -np.inf, np.float32)
        names: list[list[str | None]] = [[None] * k for _ in hits]
        for query, found in enumerate(hits):
            for place, hit in enumerate(found):
                scores[query, place], names[query][place] = hit.score, hit.row["image_id"]
        return scores, names

    def search_items(
        self, vector: np.ndarray, k: int, conditions: Iterable[Condition] = ()
    ) -> tuple[np.ndarray, list[str]]:
        """The k items whose best image is nearest to a query.

        Args:
            vector: float32 array of shape (dim,), L2-normalised.
            k: items wanted.
            conditions: only images that meet all of them count.

        Returns:
            Scores, float32, descending, and item_ids: at most k of each.
        """
        found = self.search_groups(vector, k, conditions)
        return np.array([hit.score for hit in found], np.float32), [hit.row["item_id"] for hit in found]

    def search_groups(
        self,
        vector: np.ndarray,
        k: int,
        conditions: Iterable[Condition] = (),
        *,
        by: str = "item_id",
        leave_out: str | None = None,
        columns: Sequence[str] = (),
        consistency: str = "",
    ) -> list[Found]:
        """The best image of each of the k nearest groups of images.

        Where the server cannot group, or groups too few, more images are fetched and grouped here, up to 16,384.

        Args:
            vector: float32 array of shape (dim,), L2-normalised; or of shape (n, dim): an image is as near as it is to
                the nearest of them.
            k: groups wanted.
            conditions: only images that meet all of them count.
            by: the column of strings, without nulls, that images of one group have in common.
            leave_out: the item whose images do not count.
            columns: what is returned of each.
            consistency: see above.

        Returns:
            At most k, best first.
        """
        queries = np.atleast_2d(vector)
        wanted: dict[str, Any] = {
            "conditions": list(conditions),
            "leave_out": leave_out,
            "columns": {by, *columns},
            "consistency": consistency,
        }
        if self.capabilities.grouping and self.kind in GROUPING_KINDS:
            found = self._search(queries, k, **wanted, group_by_field=by)
            best = _best_of_groups(found, by)
            if all(len(hits) == k or not hits for hits in found):
                return best[:k]
        images = min(2 * k, _MOST)
        while True:
            found = self._search(queries, images, **wanted)
            # The k best over all queries are among the k best of the query that each is nearest to.
            if images == _MOST or all(len(_best_of_groups([one], by)) >= k or len(one) < images for one in found):
                return _best_of_groups(found, by)[:k]
            images = min(4 * images, _MOST)

    def _search(
        self,
        vectors: np.ndarray,
        k: int,
        conditions: Iterable[Condition],
        *,
        columns: Iterable[str] = (),
        leave_out: str | None = None,
        consistency: str = "",
        **more: Any,
    ) -> list[list[Found]]:
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise LookalikeError(f"query vectors have shape {queries.shape}; (queries, {self.dim}) is needed")
        if not 1 <= k <= _MOST:
            raise LookalikeError(f"`k={k}`: Milvus gives 1 to {_MOST} results")
        if not len(queries):
            return []
        params = search_params(self.kind, k, ef_search=self._ef_search, nprobe=self._nprobe)
        meets = expression(conditions, self.columns)
        if leave_out is not None:
            meets += f"{' and ' if meets else ''}item_id != {quoted(leave_out)}"
        with self._calls("search"):
            found = self._client.search(
                self.collection,
                list(queries),
                filter=meets,
                limit=k,
                output_fields=sorted({*columns, "item_id"} - {"image_id"}),
                search_params={"metric_type": "COSINE", "params": params},
                consistency_level=consistency or self._consistency,
                timeout=self._timeout,
                **more,
            )
            return [
                [Found(hit["distance"], self._row(hit["entity"]) | {"image_id": hit.id}) for hit in hits]
                for hits in found
            ]

    def rows(
        self,
        conditions: Iterable[Condition],
        *,
        columns: Sequence[str] = (),
        limit: int = _MOST,
        consistency: str = "",
    ) -> list[dict[str, Any]]:
        """Images that meet all of some conditions, in no order.

        Args:
            conditions: at least one, for instance `AnyOf("image_id", ...)`.
            columns: what is returned of each, besides `image_id`; `vector` is float32 of shape (dim,).
            limit: rows that are returned at most; at most 16,384.
            consistency: see above.
        """
        with self._calls("read"):
            found = self._client.query(
                self.collection,
                filter=expression(conditions, self.columns),
                output_fields=sorted({*columns, "image_id"}),
                limit=min(limit, _MOST),
                consistency_level=consistency or self._consistency,
                timeout=self._timeout,
            )
            return [self._row(row) for row in found]

    def scan(self, columns: Sequence[str] = (), *, batch: int = 2000) -> Iterator[list[dict[str, Any]]]:
        """All images, some `batch` at a time, with some columns; see `rows`. Changes meanwhile may be seen or not.

        Pages are ranges of a hash of the image_id: the server's own iterator leaves out rows of unsealed segments
        (2.3.5), and needs an order that older versions do not keep.

        Raises:
            LookalikeError: the collection was made without that hash.
        """
        if SCAN_KEY not in self.columns:
            raise LookalikeError(f"collection `{self.collection}` has no column {SCAN_KEY}; export it again")
        for low, high in scan_ranges(len(self), min(batch, _MOST // 2)):
            condition = Between(SCAN_KEY, low, high)
            page = self.rows([condition], columns=columns, consistency="Strong")
            # A range is a random share of the rows: to be this full, it would have to be off by a factor of two.
            if len(page) == _MOST:
                raise LookalikeError(f"collection `{self.collection}` grew while it was read; read it again")
            yield page

    def _row(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        row = {name: self.columns[name].read(value) for name, value in kept.items() if name in self.columns}
        if "vector" in kept:
            row["vector"] = np.asarray(kept["vector"], np.float32)
        return row

    def measure(self, image_ids: Sequence[str], vectors: np.ndarray, queries: np.ndarray) -> IndexQuality:
        """What it finds of what exact search finds, and how quickly, the way from here to the server included.

        Args:
            image_ids: all that is in the collection.
            vectors: float32 array of shape (rows, dim), theirs.
            queries: float32 array of shape (queries, dim), held out.
        """
        # Strong searches wait for the server's clock, up to .2 s each: one of them, and the rest see what it saw.
        self.search(queries[:1], 1, consistency="Strong")
        k = min(10, len(vectors))
        true_scores, _ = FaissIndex.build(vectors, layout="exact").search(queries, k)
        row_of = {image_id: row for row, image_id in enumerate(image_ids)}
        found, times = [], []
        for query, scores in zip(queries, true_scores, strict=True):
            start = time.perf_counter()
            _, names = self.search(query[None], k, consistency="Eventually")
            times.append(time.perf_counter() - start)
            exact = vectors[[row_of[name] for name in names[0] if name is not None]] @ query
            found.append(np.count_nonzero(exact >= scores[-1] - 1e-5) / k)
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        return IndexQuality(float(np.mean(found)), float(p50), float(p99), len(queries))

    def __len__(self) -> int:
        """Images that can be found."""
        with self._calls("count"):
            rows = self._client.query(
                self.collection, output_fields=["count(*)"], consistency_level="Strong", timeout=self._timeout
            )
            return int(rows[0]["count(*)"])

    def close(self) -> None:
        """Close the connection; milvus-lite's server stops with the last index that has its file open."""
        if not self._closed:
            self._closed = True
            disconnect(self._client, self._uri)

    def __enter__(self) -> "MilvusIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _calls(self, what: str) -> Iterator[None]:
        if self._closed:
            raise LookalikeError(f"Milvus at {self._place}: this index was closed; open it again")
        with milvus_calls(self._place, f"{what} `{self.collection}`"):
            yield


def _best_of_groups(found: Iterable[Iterable[Found]], by: str) -> list[Found]:
    """The best image of each group over all queries, best first."""
    best: dict[str, Found] = {}
    for hit in sorted(itertools.chain.from_iterable(found), key=lambda hit: -hit.score):
        best.setdefault(hit.row[by], hit)
    return list(best.values())
