import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from sqlalchemy import text

from serve.store import load as loading
from serve.store.load import load_bundle
from src.contracts.bundle import open_bundle
from tests.serve.running import ROOT
from tests.serve.small_bundle import catalogue, write_bundle
from tests.serve.store.conftest import items_of, rows


def test_each_item_is_there_once_as_the_catalogue_has_it(engine, bundle, shop):
    assert load_bundle(engine, bundle) == 60
    expected = items_of(shop)
    found = rows(engine)
    assert found.keys() == expected.keys()
    for name, row in found.items():
        for column in ("parent_id", "category", "brand", "color", "price"):
            assert row[column] == expected[name][column], column
        # SQLite has no booleans of its own.
        assert (None if row["in_stock"] is None else bool(row["in_stock"])) == expected[name]["in_stock"]
        assert row["updated_at"] is None
        for column in ("category", "brand", "color"):
            assert expected[name][column] is None or expected[name][column] in row["text"]


def test_loading_again_writes_nothing(engine, bundle):
    load_bundle(engine, bundle)
    assert load_bundle(engine, bundle) == 0


def test_a_load_that_was_cut_off_goes_on(engine, bundle, monkeypatch):
    monkeypatch.setattr(loading, "_BATCH", 7)

    class CutError(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done >= 21:
            raise CutError

    with pytest.raises(CutError):
        load_bundle(engine, bundle, progress=cut)
    assert len(rows(engine)) == 21
    assert load_bundle(engine, bundle) == 39
    assert len(rows(engine)) == 60


def test_what_the_shop_wrote_is_kept_and_the_rest_described_anew(engine, bundle, tmp_path):
    load_bundle(engine, bundle)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE items SET price = 1.5, in_stock = :no, updated_at = :now WHERE item_id = 'sku/005 ö'"),
            {"no": False, "now": datetime.now(UTC)},
        )
    changed = [row | {"price": 9.0, "in_stock": True, "brand": "renamed"} for row in catalogue(60)]
    other = open_bundle(write_bundle(tmp_path / "other", changed).root)
    assert load_bundle(engine, other) == 60
    found = rows(engine)
    assert {row["brand"] for row in found.values()} == {"renamed"}
    kept = found.pop("sku/005 ö")
    assert (kept["price"], bool(kept["in_stock"])) == (1.5, False)
    assert {row["price"] for row in found.values()} == {9.0}
    # Back to the first bundle: it was loaded once, but is not what was loaded last.
    assert load_bundle(engine, bundle) == 60
    assert "renamed" not in {row["brand"] for row in rows(engine).values()}


def test_titles_are_searched_where_a_catalogue_has_them(engine, tmp_path, monkeypatch):
    listing = [row | {"price": None} for row in catalogue(3)]
    shop = write_bundle(tmp_path / "bundle", listing)
    titled = shop.table.append_column("title", pa.array(["Rain\0coat"] * len(shop.table)))
    monkeypatch.setattr(loading.pq, "read_table", lambda path, columns: titled.select(columns))
    monkeypatch.setattr(loading.pq, "read_schema", lambda path: titled.schema)
    load_bundle(engine, open_bundle(shop.root))
    assert all(row["text"].startswith("Rain coat") for row in rows(engine).values())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serve.store", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_command(shop, tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    done = run("load", "--bundle", str(shop.root), "--url", url)
    assert (done.returncode, done.stdout) == (0, f"60 items written to {url}\n")


def test_command_says_what_is_wrong_and_no_password(shop, tmp_path):
    dead = run("load", "--bundle", str(shop.root), "--url", "postgresql://me:secret@127.0.0.1:1/x")
    assert dead.returncode == 2
    assert "refused" in dead.stderr
    assert "load again" in dead.stderr
    bad = run("load", "--bundle", str(tmp_path), "--url", "mysql://me:secret@h/x")
    assert bad.returncode == 2
    assert "store_url" in bad.stderr
    assert "secret" not in dead.stderr + bad.stderr
    assert "Traceback" not in dead.stderr + bad.stderr
