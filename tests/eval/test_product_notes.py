"""What the intervals' unit is, said once: by evaluate.py, in its report, and by comparisons."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.contracts.errors import ConfigError
from src.contracts.settings import EvaluateSettings
from src.eval.command import evaluate
from src.eval.compare import main
from src.eval.product_notes import product_notes
from src.eval.runs import check_comparable, open_run

WITHOUT = "no query has a parent_id: in the intervals and tests each item counts as a product of its own"


def vectors(path: Path, parents: list[str | None] | None, *, noise: float = 1.0, items: int = 48) -> Path:
    """Two photos of each item, each asked and searched."""
    rng = np.random.default_rng(3)
    item = np.repeat(np.arange(items), 2)
    made = np.random.default_rng(0).standard_normal((items, 8))[item] + noise * rng.standard_normal((len(item), 8))
    columns = {
        "image_id": pa.array([f"image-{n}" for n in range(len(item))]),
        "item_id": pa.array([f"item-{n}" for n in item]),
        "is_query": pa.array([True] * len(item)),
        "is_gallery": pa.array([True] * len(item)),
        "vector": pa.array(made.astype(np.float32).tolist()),
    }
    if parents is not None:
        columns["parent_id"] = pa.array([parents[n] for n in item], pa.string())
    pq.write_table(pa.table(columns), path)
    return path


def evaluated(folder: Path, parents: list[str | None] | None, **settings) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = vectors(folder / "vectors.parquet", parents, noise=settings.pop("noise", 1.0))
    given = {"report": False, "grades": {"item_id": 1}, **settings}
    evaluate(EvaluateSettings(embeddings=str(path), output=str(folder), **given))
    return folder


def test_evaluate_says_once_that_items_are_the_unit(tmp_path: Path, capsys) -> None:
    evaluated(tmp_path, None, report=True, map_images=0)
    printed = capsys.readouterr().out
    assert printed.count(WITHOUT) == 1
    assert next(line for line in printed.splitlines() if WITHOUT in line).startswith("note: ")
    assert (tmp_path / "report.html").read_text().count(WITHOUT) == 1
    evaluated(tmp_path / "off", None, resamples=0)
    assert WITHOUT not in capsys.readouterr().out


def test_nothing_is_said_where_all_queries_have_a_product(tmp_path: Path, capsys) -> None:
    folder = evaluated(tmp_path, [f"parent-{n // 2}" for n in range(48)], report=True, map_images=0)
    assert "note:" not in capsys.readouterr().out
    assert "Note:" not in (folder / "report.html").read_text()
    assert product_notes(pq.read_table(folder / "queries.parquet")) == []


def test_queries_that_lack_a_parent_are_counted(tmp_path: Path) -> None:
    folder = evaluated(tmp_path, [None if n < 8 else f"parent-{n // 2}" for n in range(48)])
    assert product_notes(pq.read_table(folder / "queries.parquet"))[0].startswith("16 of 96 queries have no parent_id")


def test_few_products_with_most_queries_are_named(tmp_path: Path, capsys) -> None:
    # One product has 80 of 96 queries: (sum n)^2 / sum n^2 = 96^2 / (80^2 + 4 * 4^2).
    evaluated(tmp_path, ["large"] * 40 + [f"parent-{n // 2}" for n in range(8)], report=True, map_images=0)
    expected = (
        "96 queries of 5 products count as 1.4 products of equal size ((sum n)^2 / sum n^2; the largest has 83% of the "
        "queries): below 3 a value has no interval"
    )
    assert capsys.readouterr().out.count(expected) == 1
    assert (tmp_path / "report.html").read_text().count(expected) == 1


def test_a_dozen_products_are_called_few(tmp_path: Path) -> None:
    folder = evaluated(tmp_path, [f"parent-{n // 4}" for n in range(48)])
    assert product_notes(pq.read_table(folder / "queries.parquet")) == [
        "96 queries of 12 products count as 12.0 products of equal size ((sum n)^2 / sum n^2; the largest has 8% of "
        "the queries): intervals are rough, and too short for values near 0 and 1"
    ]


def test_comparisons_say_so_too_and_refuse_other_products(tmp_path: Path, capsys) -> None:
    runs = [str(evaluated(tmp_path / str(noise), None, noise=noise)) for noise in (0.5, 1.5)]
    capsys.readouterr()
    main([*runs, "--metrics", "mrr", "--resamples", "200", "--markdown", str(tmp_path / "out.md")])
    assert " ".join(capsys.readouterr().out.split()).count(WITHOUT[1:]) == 1
    assert (tmp_path / "out.md").read_text().count(f"- N{WITHOUT[1:]}") == 1
    other = str(evaluated(tmp_path / "parents", [f"parent-{n // 2}" for n in range(48)]))
    for pair in ((runs[0], other), (other, runs[0])):
        with pytest.raises(ConfigError, match="the queries' products differ, since parent_id was added or changed"):
            check_comparable([open_run(run) for run in pair], ["mrr"])
