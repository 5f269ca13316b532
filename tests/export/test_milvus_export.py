"""A gallery to Milvus: the same answers as FAISS, continued after a failure, and the alias moved last."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from src.contracts.bundle import INDEX, ITEMS_TABLE, VECTOR_HASHES, open_bundle, staged_bundle
from src.contracts.errors import BundleError, ConfigError, GateError, LookalikeError
from src.contracts.settings import ExportSettings, IndexSettings
from src.contracts.tables import ITEMS, validate_items
from src.export import milvus_export, verify
from src.export.milvus_export import export_to_milvus, gallery_digest, publish
from src.index.best_items import search_items
from src.index.bundle_collection import open_collection
from src.index.digest import digest_bundle, digest_collection, main
from src.index.faiss_index import FaissIndex
from src.index.filters import AnyOf, Between, Condition, FilterColumns
from src.index.milvus_catalogue import BUNDLE_ID, ENCODER_ID, PREPROCESSING
from src.index.milvus_collections import MilvusCollections
from src.index.milvus_collections import main as collections
from src.index.milvus_index import MilvusIndex
from src.index.vector_digest import Digest, vector_hashes
from src.search.gallery import Gallery
from tests.search.small_bundle import SPEC, catalogue

DIM = 16
ROWS = 700


def gallery() -> tuple[pa.Table, np.ndarray]:
    rows = catalogue(400)[:ROWS]
    table = validate_items(pa.Table.from_pylist(rows, schema=pa.schema([*ITEMS, *_more(rows)])))
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(table), DIM)).astype(np.float32)
    return table, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _more(rows: list[dict]) -> list[pa.Field]:
    known = {field.name for field in ITEMS}
    inferred = pa.Table.from_pylist(rows).schema
    return [field for field in inferred if field.name not in known]


ITEMS_OF, VECTORS = gallery()
QUERIES = np.random.default_rng(1).standard_normal((30, DIM)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = str(tmp_path_factory.mktemp("milvus") / "shop.db")
    with MilvusIndex.create(path, "keeps_it_open", dim=DIM, kind="FLAT"):
        yield path


@pytest.fixture(scope="module", params=["lite", "server"])
def uri(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("lite" if request.param == "lite" else "milvus_uri")


def settings(uri: str, name: str = "", **changes: object) -> IndexSettings:
    given = {"backend": "milvus", "uri": uri, "collection": name or f"shop_{uuid4().hex[:8]}", "kind": "FLAT"}
    return IndexSettings(**{**given, **changes})


def export(chosen: IndexSettings, items: pa.Table = ITEMS_OF, vectors: np.ndarray = VECTORS, **changes: str):
    named = {"encoder_id": "encoder", "preprocessing": SPEC.hash, "items_hash": "items", **changes}
    return export_to_milvus(items, vectors, QUERIES, settings=chosen, **named)


@pytest.fixture(scope="module")
def released(uri: str) -> tuple[IndexSettings, milvus_export.MilvusRelease]:
    chosen = settings(uri)
    release = export(chosen)
    publish(release, chosen, "bundle")
    return chosen, release


@pytest.fixture
def index(released) -> Iterator[MilvusIndex]:
    with MilvusIndex(released[0].uri, released[0].collection) as index:
        yield index


def conditions(rng: np.random.Generator, count: int) -> Iterator[list[Condition]]:
    """Of every column that can be filtered by, with values that it has, and some that it has not."""
    names = [field.name for field in ITEMS_OF.schema if field.name not in ("image_id", "image")]
    for _ in range(count):
        chosen: list[Condition] = []
        for name in rng.choice(names, rng.integers(1, 4), replace=False).tolist():
            kind, values = ITEMS_OF.schema.field(name).type, ITEMS_OF[name].to_pylist()
            some = [values[place] for place in rng.integers(0, len(values), 3)]
            if pa.types.is_string(kind) or pa.types.is_boolean(kind):
                given = [value for value in some[: rng.integers(0, 4)] if value is not None]
                extra = ["no such value"] if pa.types.is_string(kind) and rng.random() < 0.3 else []
                chosen.append(AnyOf(name, frozenset([*given, *extra])))
            else:
                bounds = sorted(value for value in some[:2] if value is not None and value == value)
                low, high = (bounds + [None, None])[:2]
                chosen.append(Between(name, *((None, low) if rng.random() < 0.3 else (low, high))))
        yield chosen


def test_filters_let_pass_the_same_rows_as_faiss(index: MilvusIndex) -> None:
    columns = FilterColumns(ITEMS_OF)
    names = np.array(ITEMS_OF["image_id"].to_pylist())
    passed = set()
    assert len(index) == ROWS  # Strong: afterwards all rows are seen, without waiting for each answer.
    for chosen in conditions(np.random.default_rng(2), 150):
        mask = columns.mask(chosen)
        found = {row["image_id"] for row in index.rows(chosen, consistency="Eventually")}
        assert found == {*names[mask]}, chosen
        passed.add(min(len(found), 50))
    assert len(passed) > 10


def test_the_nearest_are_those_of_faiss(index: MilvusIndex) -> None:
    exact = FaissIndex.build(VECTORS, layout="exact")
    names = np.array(ITEMS_OF["image_id"].to_pylist())
    columns = FilterColumns(ITEMS_OF)
    for chosen in [[], [AnyOf("category", frozenset({"shoes", "bags"})), Between("price", 20, 150)]]:
        scores, rows = exact.search(QUERIES, 10, columns.mask(chosen))
        found_scores, found = index.search(QUERIES, 10, chosen)
        np.testing.assert_allclose(found_scores, scores, atol=1e-5)
        overlap = [len({*names[mine]} & {*theirs}) / 10 for mine, theirs in zip(rows, found, strict=True)]
        assert np.mean(overlap) >= 0.99


@pytest.mark.parametrize("by", ["item_id", "parent_id"])
def test_items_and_parents_are_those_of_faiss(index: MilvusIndex, by: str) -> None:
    exact = FaissIndex.build(VECTORS, layout="exact")
    groups = ITEMS_OF[by].to_pylist()
    numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
    mask = FilterColumns(ITEMS_OF).mask([AnyOf("category", frozenset({"shoes", "bags"}))])
    for query in QUERIES[:10]:
        scores, rows = search_items(exact, query, numbers, 12, allowed=mask)
        found = index.search_groups(
            query,
            12,
            [AnyOf("category", frozenset({"shoes", "bags"}))],
            by={"parent_id": "parent_key"}.get(by, by),
            columns=[by],
        )
        assert [hit.row[by] for hit in found] == [groups[row] for row in rows]
        np.testing.assert_allclose([hit.score for hit in found], scores, atol=1e-5)


def test_a_digest_finds_one_changed_vector(released, index: MilvusIndex) -> None:
    chosen, release = released
    expected = gallery_digest(ITEMS_OF, VECTORS)
    assert digest_collection(chosen.uri, chosen.collection).total == expected.total == release.content["digest"]
    changed = VECTORS.copy()
    changed[17, 3] = np.nextafter(changed[17, 3], np.float32(2))
    assert gallery_digest(ITEMS_OF, changed).different(expected) == [ITEMS_OF["category"][17].as_py()]
    order = np.random.default_rng(0).permutation(len(VECTORS))
    assert gallery_digest(ITEMS_OF.take(order), VECTORS[order]).total == expected.total


def test_the_collection_says_whose_it_is(released, index: MilvusIndex) -> None:
    said = index.properties
    assert (said[ENCODER_ID], said[PREPROCESSING], said[BUNDLE_ID]) == ("encoder", SPEC.hash, "bundle")
    row = index.rows(
        [AnyOf("image_id", frozenset({ITEMS_OF["image_id"][3].as_py()}))], columns=["vector", "version", "vector_hash"]
    )[0]
    assert (row["version"], row["vector_hash"]) == (0, vector_hashes(VECTORS[3:4])[0])
    np.testing.assert_array_equal(row["vector"], VECTORS[3])


def test_a_failed_export_leaves_the_alias_and_is_continued(lite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(lite)
    old = export(chosen)
    assert publish(old, chosen, "old") == ""
    monkeypatch.setattr(milvus_export, "_BATCH", 100)
    upsert, written = MilvusIndex.upsert, []

    def failing(index: MilvusIndex, image_ids: list[str], *rest: object) -> None:
        if fails and len(written) >= fails:
            raise LookalikeError("killed")
        written.extend(image_ids)
        upsert(index, image_ids, *rest)

    monkeypatch.setattr(MilvusIndex, "upsert", failing)
    for fails in (100, 300, 500, 0):
        before = len(written)
        if fails:
            with pytest.raises(LookalikeError, match="killed"):
                export(chosen, encoder_id="newer")
            with MilvusCollections.open(lite) as place:
                assert place.target(chosen.collection) == old.collection
        else:
            new = export(chosen, encoder_id="newer")
            assert len(written) - before == ROWS - 500
    assert len(written) == len({*written}) == ROWS
    assert export(chosen, encoder_id="newer") == new  # Whole: nothing is written or measured again.
    assert len(written) == ROWS
    assert publish(new, chosen, "new") == old.collection
    with MilvusIndex(lite, chosen.collection) as index:
        assert index.properties[ENCODER_ID] == "newer"
        assert index.collection == new.collection


def test_an_export_that_ended_before_there_was_an_index_begins_anew(lite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(lite)
    create = MilvusClient.create_collection

    def without_index(client: MilvusClient, name: str, **given: object) -> None:
        create(client, name, **{**given, "index_params": None})
        raise MilvusException(message="killed")

    with monkeypatch.context() as killed:
        killed.setattr(MilvusClient, "create_collection", without_index)
        with pytest.raises(LookalikeError, match="killed"):
            export(chosen)
    assert publish(export(chosen), chosen, "b") == ""


def test_an_index_that_finds_too_little_is_not_published(lite: str) -> None:
    chosen = settings(lite, min_recall=1.01)
    with pytest.raises(GateError, match="recall"):
        export(chosen)
    with MilvusCollections.open(lite) as place:
        unfinished = next(name for name in place.names() if name.startswith(chosen.collection))
        with pytest.raises(ConfigError, match="was not finished"):
            place.use(chosen.collection, unfinished)


def test_collections_are_listed_pointed_at_and_dropped(lite: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = settings(lite)
    old, new = export(chosen), export(chosen, encoder_id="newer")
    assert old.collection != new.collection
    publish(old, chosen, "b" * 64)
    capsys.readouterr()
    collections(["list", lite, chosen.collection])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    mine = next(line for line in lines if line.startswith(old.collection))
    assert f"alias {chosen.collection}  whole  {ROWS} rows  bundle {'b' * 16}  encoder encoder" in mine
    collections(["use", lite, chosen.collection, new.collection])
    assert f"before, at {old.collection}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        collections(["drop", lite, new.collection])
    assert f"is served as {chosen.collection}" in capsys.readouterr().err
    collections(["drop", lite, old.collection])
    with MilvusCollections.open(lite) as place:
        assert old.collection not in place.names()
        assert place.target(chosen.collection) == new.collection
        for names, message in (
            ((chosen.collection, "absent"), "has no collection"),
            (("keeps_it_open", new.collection), "is a collection"),
        ):
            with pytest.raises(ConfigError, match=message):
                place.use(*names)


def test_a_bundle_opens_its_own_collection_only(lite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = settings(lite)
    release = export(chosen)
    with staged_bundle(tmp_path / "bundle") as draft:
        pq.write_table(ITEMS_OF, draft.root / ITEMS_TABLE)
        np.save(draft.root / VECTOR_HASHES, vector_hashes(VECTORS))
        draft.content |= {
            "encoder_id": "encoder",
            "preprocessing": SPEC.to_dict(),
            "dim": DIM,
            "index": release.content,
        }
    bundle = open_bundle(tmp_path / "bundle")
    publish(release, chosen, bundle.bundle_id)
    with open_collection(bundle, lite) as index:
        assert len(index) == release.content["rows"] == ROWS
    other = export(chosen, encoder_id="newer")
    with pytest.raises(BundleError, match="encoder_id is encoder in the bundle, newer in the collection"):
        open_collection(bundle, lite, collection=other.collection)
    assert digest_bundle(bundle).total == release.content["digest"]

    address = f"{lite}#{release.collection}"
    main([str(bundle.root), address])
    assert "the two places hold the same" in capsys.readouterr().out
    with MilvusIndex(lite, release.collection) as index:
        image, item = ITEMS_OF["image_id"][5].as_py(), ITEMS_OF["item_id"][5].as_py()
        index.upsert(
            [image],
            [item],
            VECTORS[6:7],
            {"category": [ITEMS_OF["category"][5].as_py()], "version": [0], "vector_hash": [1]},
        )
    with pytest.raises(SystemExit, match="2"):
        main([str(bundle.root), address])
    printed = capsys.readouterr()
    assert "differ in 1 categories" in printed.err
    assert len(printed.out.splitlines()) == 3
    main([lite, "--collection", release.collection])
    assert f"all of {lite}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main([lite])


def test_who_reads_bundles_knows_of_the_collection(lite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(lite)
    with staged_bundle(tmp_path / "bundle") as draft:
        pq.write_table(ITEMS_OF, draft.root / ITEMS_TABLE)
        content = {
            "encoder_id": "encoder",
            "preprocessing": SPEC.to_dict(),
            "dim": DIM,
            "index": export(chosen).content,
        }
        draft.content |= content
    bundle = open_bundle(tmp_path / "bundle")
    with pytest.raises(BundleError, match=rf"its index is the Milvus collection {chosen.collection}_.*no file"):
        Gallery.open(bundle)
    monkeypatch.delenv("MILVUS_URI", raising=False)
    assert "not looked at" in verify._index(bundle)
    monkeypatch.setenv("MILVUS_URI", lite)
    assert f"{ROWS} rows as they were exported" in verify._index(bundle)
    with MilvusIndex(lite, bundle.content["index"]["collection"]) as index:
        index.delete([ITEMS_OF["image_id"][0].as_py()])
    with pytest.raises(BundleError, match=f"not as it was exported: digest .* of {ROWS - 1} rows"):
        verify._index(bundle)
    with staged_bundle(tmp_path / "other") as draft:
        draft.content |= {**content, "index": {"layout": "exact", "search": {}}}
    with pytest.raises(BundleError, match=r"its index is a file of it; export it with index\.backend=milvus"):
        open_collection(open_bundle(tmp_path / "other"), lite)


def test_a_digest_finds_one_changed_vector_among_a_hundred_thousand() -> None:
    rows = 100_000
    vectors = np.random.default_rng(1).standard_normal((rows, 4)).astype(np.float32)

    def digest(changed: np.ndarray) -> Digest:
        found = Digest()
        found.add(
            (f"c{row % 20}", f"image-{row}", 0, hashed) for row, hashed in enumerate(vector_hashes(changed).tolist())
        )
        return found

    one = vectors.copy()
    one[77_777, 2] = np.nextafter(one[77_777, 2], np.float32(9))
    assert digest(one).different(digest(vectors)) == ["c17"]


def test_settings_that_cannot_work_are_refused() -> None:
    for given, message in (
        ({"backend": "qdrant"}, "must be faiss or milvus"),
        ({"uri": "http://x:1"}, "only `index.backend=milvus` has one"),
        ({"backend": "milvus"}, "(?s)index.uri` is empty.*index.collection` is empty"),
        ({"backend": "milvus", "uri": "http://me:pw@x", "collection": "a"}, "MILVUS_TOKEN"),
        ({"backend": "milvus", "uri": "http://x", "collection": "a b"}, "letters, digits"),
        ({"backend": "milvus", "uri": "http://x", "collection": "a", "memory_gb": 1.0}, "are of FAISS"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            replace(ExportSettings(checkpoint="c", output="o"), index=IndexSettings(**given)).check()
        assert "pw" not in str(caught.value)
    replace(ExportSettings(checkpoint="c", output="o"), index=settings("http://x:1")).check()


def test_the_manifest_does_not_say_where(lite: str) -> None:
    text = json.dumps(export(settings(lite)).content)
    assert lite not in text
    assert INDEX not in text
