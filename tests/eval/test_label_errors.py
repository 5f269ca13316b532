"""The command line over evaluated runs."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from src.eval.label_errors import main
from tests.eval.query_tables import Query, make_table, random_queries

QUERIES: list[Query] = [
    ("q0", "A0", 1, [("g0", "B0", 0.9, 0), ("g1", "A0", 0.2, 3)]),
    ("q1", "A1", 1, [("g2", "A0", 0.5, 2), ("g3", "A1", 0.4, 3)]),
    ("q2", "B0", 1, [("g0", "B0", 0.9, 3)]),
]


def write_run(folder: Path, queries: list[Query], **about: str) -> str:
    folder.mkdir()
    pq.write_table(make_table(queries, **about), folder / "queries.parquet")
    return str(folder)


def test_the_labels_that_models_doubt_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write_run(tmp_path / name, QUERIES, name=name) for name in ("one", "two")]
    main([*runs, "--json", str(tmp_path / "out" / "suspected.json"), "--count", "5"])
    shown = capsys.readouterr().out
    assert "suspected labels of 3 queries, by one, two" in shown
    assert "2 of 2" in shown
    assert "variant" in shown
    written = json.loads((tmp_path / "out" / "suspected.json").read_text())
    assert [(case["image_id"], case["suspected_item_id"], case["models"]) for case in written] == [
        ("q0", "B0", ["one", "two"]),
        ("q1", "A0", ["one", "two"]),
    ]
    assert written[0]["margin"] == pytest.approx(0.7)
    assert [case["same_product"] for case in written] == [False, True]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / name, QUERIES) for name in ("one", "two")]
    main(runs)
    assert "2 of 2" in capsys.readouterr().out


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_what_cannot_be_looked_at_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "one", QUERIES)
    other = write_run(tmp_path / "two", random_queries(np.random.default_rng(0), 3), fingerprint="other")
    assert "cannot be compared query by query" in refused([run, other], capsys)
    assert "would be counted twice" in refused([run, run], capsys)
    assert "no queries.parquet in or below it" in refused([str(tmp_path / "nowhere")], capsys)
    assert "--count 0" in refused([run, "--count", "0"], capsys)
