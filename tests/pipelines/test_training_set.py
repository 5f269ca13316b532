"""The command that joins labels with what was known by their time."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.pipelines.embeddings_table import Lineage, append_embeddings
from src.pipelines.training_set import main
from tests.pipelines.conftest import make_embeddings

UTC_TIME = pa.timestamp("us", tz="UTC")
FROM = Lineage(run_id="r", bundle_id=None, source="images.parquet", source_version=None)


def day(number: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in (1, 5):
        rows = make_embeddings(["q/1"], event_at=day(number), created_at=day(number + 1), seed=number)
        append_embeddings(tmp_path / "embeddings", rows, batch_id=f"{number}", lineage=FROM)
    append_embeddings(tmp_path / "embeddings", make_embeddings(["q/1"], encoder="e2"), batch_id="other", lineage=FROM)
    times = [pa.array([day(number) for number in (0, 4)], UTC_TIME)] * 2
    prices = pa.table([["a", "a"], *times, [9.5, 7.5]], names=["item_id", "event_at", "created_at", "price"])
    pq.write_table(prices, tmp_path / "prices.parquet")
    at = pa.array([day(number) for number in (1, 3, 8)], UTC_TIME)
    labels = pa.table({"query_image_id": ["q/1"] * 3, "item_id": ["a", "b", "a"], "event_at": at, "clicked": [1, 0, 1]})
    pq.write_table(labels, tmp_path / "log.parquet")
    return tmp_path


def test_rows_have_what_was_known(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embedding = ["--facts", "embedding", str(files / "embeddings"), "query_image_id=image_id", "--encoder", "e1"]
    price = ["--facts", "price", str(files / "prices.parquet"), "item_id"]
    main([str(files / "log.parquet"), *embedding, *price, "--output", str(files / "rows.parquet")])
    rows = pq.read_table(files / "rows.parquet")
    assert rows["embedding_content_hash"].to_pylist() == [None, "q/1-1", "q/1-5"]
    assert rows["price_price"].to_pylist() == [9.5, None, 7.5]
    assert rows.column_names[:4] == ["query_image_id", "item_id", "event_at", "clicked"]
    read = json.loads(rows.schema.metadata[b"lookalike.training_set"])["read"]
    assert (read["embedding"]["version"], read["embedding"]["found"]) == (3, 2)
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"embedding: found for 2 (66.7%) in {files / 'embeddings'}"
    assert said[-1] == f"3 rows in {files / 'rows.parquet'}"
    main([str(files / "log.parquet"), *embedding, "--output", str(files / "rows.parquet"), "--as-of", "2026-01-04"])
    assert pq.read_table(files / "rows.parquet")["embedding_content_hash"].to_pylist() == [None, "q/1-1", "q/1-1"]
    main([str(files / "log.parquet"), *embedding, "--output", str(files / "rows.parquet"), "--hindsight"])
    assert pq.read_table(files / "rows.parquet")["embedding_content_hash"].to_pylist() == ["q/1-1", "q/1-1", "q/1-5"]


def test_errors_are_one_message(files: Path) -> None:
    labels, output = str(files / "log.parquet"), ["--output", str(files / "rows.parquet")]
    embeddings = ["--facts", "e", str(files / "embeddings"), "query_image_id=image_id"]
    ended = subprocess.run(
        [sys.executable, "-m", "src.pipelines.training_set", labels, *embeddings, *output],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "has column encoder_id; name one with --encoder" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.parquet", "item_id"], "p: none.parquet is neither a Delta table nor Parquet"),
        (["prices.parquet", "colour"], "labels: no column 'colour'"),
        (["prices.parquet", "item_id", "--at", "clicked"], "'clicked' is int64; times must be timestamps"),
        (["prices.parquet", "item_id", "--as-of", "soon"], "`--as-of soon`: no time"),
        (["prices.parquet", "item_id", "--facts", "p", "prices.parquet", "item_id"], "two tables have one name"),
    ],
)
def test_what_cannot_be_joined_is_said(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(SystemExit):
        main(["log.parquet", "--facts", "p", *words, "--output", "rows.parquet"])
    assert message in capsys.readouterr().err
    assert not (files / "rows.parquet").exists()
