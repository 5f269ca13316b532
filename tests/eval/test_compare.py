"""The comparison's command line: verdicts on planted differences, refusals, and what it writes."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from lightning.pytorch.loggers import CSVLogger

from src.contracts.errors import ConfigError, TableError
from src.eval.compare import main
from src.eval.comparison import compare_runs, group_runs, holm
from src.eval.embedded import Embedded
from src.eval.evaluation import evaluate_embedded
from src.eval.per_query import write_queries
from src.eval.protocol import Protocol
from src.eval.runs import check_comparable, expand_sweep, open_run


def shop(noise: float, seed: int, *, items: int = 60, gallery_items: int | None = None) -> tuple[Embedded, Embedded]:
    """Two photos of each item asked and two searched; noise makes the search harder."""
    directions = np.random.default_rng(0).standard_normal((items, 16))
    rng = np.random.default_rng(seed)

    def photos(role: str, kept: int) -> Embedded:
        rows = np.repeat(np.arange(kept), 2)
        vectors = directions[rows] + noise * rng.standard_normal((len(rows), 16))
        ids = [f"{role}-{row}-{n % 2}" for n, row in enumerate(rows)]
        names = [f"item-{row}" for row in rows]
        table = pa.table({"image_id": ids, "item_id": names, "parent_id": [f"parent-{row // 2}" for row in rows]})
        return Embedded(vectors.astype(np.float32), np.array(ids, object), np.array(names, object), table)

    return photos("query", items), photos("gallery", gallery_items or items)


def evaluate(
    folder: Path,
    noise: float,
    seed: int | None = 1,
    *,
    method: str | None = "m",
    level: str = "item",
    name: str = "",
    **sizes: int,
) -> str:
    evaluation = evaluate_embedded(*shop(noise, seed or 0, **sizes), Protocol(level=level))
    write_queries(
        evaluation.per_query,
        folder / "queries.parquet",
        name=name or method or "vectors",
        split="test",
        method=method,
        seed=seed,
    )
    return str(folder)


@pytest.fixture
def good(tmp_path: Path) -> list[str]:
    return [evaluate(tmp_path / f"good-{seed}", 0.8, seed, method="good") for seed in (1, 2, 3)]


@pytest.fixture
def bad(tmp_path: Path) -> list[str]:
    return [evaluate(tmp_path / f"bad-{seed}", 1.6, seed, method="bad") for seed in (4, 5, 6)]


def compared(runs: list[str], **options):
    contenders = group_runs([open_run(run) for run in runs], by_method=options.pop("by_method", True))
    return compare_runs(contenders, contenders[0], ["recall@1", "mrr"], resamples=500, **options).lines


def test_a_worse_checkpoint_is_called_worse_and_a_better_one_better(good, bad) -> None:
    base, other, *_ = compared([good[0], bad[0]])
    assert (base.verdict, base.difference) == ("baseline", None)
    assert (other.verdict, other.question, other.seeds) == ("worse", "checkpoint", 1)
    assert other.difference.value == pytest.approx(other.interval.value - base.interval.value)
    assert base.interval.low < base.interval.value < base.interval.high
    assert [line.verdict for line in compared([bad[0], good[0]])] == ["baseline", "better"] * 2


def test_a_seed_of_the_same_method_cannot_be_told_apart(good) -> None:
    lines = compared(good, by_method=False)
    assert {line.verdict for line in lines} == {"baseline", "can't tell"}
    assert all(line.adjusted >= line.difference.p_value for line in lines if line.difference)


def test_methods_need_seeds(good, bad) -> None:
    lines = compared(good + bad)
    assert [(line.label, line.seeds, line.verdict) for line in lines[:2]] == [
        ("good", 3, "baseline"),
        ("bad", 3, "worse"),
    ]
    assert lines[1].question == "method"
    one = compared([*good, bad[0]])
    assert (one[1].verdict, one[1].difference.low) == ("can't tell", None)
    assert "at least two seeds" in one[1].difference.reason


def test_what_has_no_seed_is_compared_as_it_is(good, tmp_path: Path) -> None:
    histogram = evaluate(tmp_path / "histogram", 2.5, None, method="color_histogram")
    line = compared([histogram, *good])[1]
    assert (line.question, line.verdict) == ("method", "better")
    # Vectors of unknown origin are no method: their seed isn't known.
    unknown = evaluate(tmp_path / "unknown", 2.5, None, method=None)
    assert compared([unknown, *good])[1].verdict == "can't tell"


def test_holms_correction_is_the_textbooks() -> None:
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "none": None})
    assert corrected == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02, "none": None})
    assert holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_correction_counts_the_candidates(good, bad) -> None:
    alone, among = compared([good[0], bad[0]]), compared([good[0], bad[0], *bad[1:]], by_method=False)
    assert alone[1].adjusted == alone[1].difference.p_value
    assert among[1].adjusted == pytest.approx(min(1, 3 * among[1].difference.p_value), rel=0.5)


def test_runs_of_different_questions_are_refused_by_name(good, tmp_path: Path) -> None:
    first = open_run(good[0])
    images = open_run(evaluate(tmp_path / "images", 0.8, level="image"))
    with pytest.raises(ConfigError, match=r"the protocol differs \(level is 'item' and 'image'\)"):
        check_comparable([first, images], ["recall@1"])
    fewer = open_run(evaluate(tmp_path / "fewer", 0.8, items=50))
    with pytest.raises(ConfigError, match=r"the queries differ .20 of 120 only in the first, 0 of 100 only in the"):
        check_comparable([first, fewer], ["recall@1"])
    smaller = open_run(evaluate(tmp_path / "smaller", 0.8, gallery_items=50))
    with pytest.raises(ConfigError, match="the gallery differs"):
        check_comparable([first, smaller], ["recall@1"])
    with pytest.raises(ConfigError, match=r"no metric recall@7; it has recall@1"):
        check_comparable([first], ["recall@7"])


def test_runs_are_found_below_a_folder(good, tmp_path: Path) -> None:
    training = tmp_path / "train"
    evaluate(training / "evaluations" / "test", 0.8)
    assert open_run(str(training)).method == "m"
    assert open_run(str(training / "evaluations" / "test" / "queries.parquet")).seed == 1
    evaluate(training / "evaluations" / "val", 0.8)
    with pytest.raises(ConfigError, match=r"2 queries.parquet in or below it.*\n.*evaluations/test\n.*evaluations/val"):
        open_run(str(training))
    with pytest.raises(ConfigError, match=r"no queries.parquet in or below it, .* evaluate it first"):
        open_run(str(tmp_path / "absent"))
    (tmp_path / "queries.parquet").write_text("no table")
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        open_run(str(tmp_path))


def test_the_command_prints_and_writes(good, bad, tmp_path: Path, capsys) -> None:
    page, text = tmp_path / "out" / "a.html", tmp_path / "out" / "a.md"
    arguments = ["--baseline", bad[1], "--metrics", "mrr", "recall@1", "--resamples", "300"]
    main([*good, *bad, *arguments, "--html", str(page), "--markdown", str(text)])
    printed = capsys.readouterr().out
    for part in ("better", "baseline", "30 products", "about the METHODS", "Decide by mrr"):
        assert part in printed
    rows = [line.split("|")[1:-1] for line in text.read_text().splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[2]][:3] == ["mrr", "bad", "3"]
    assert [cell.strip() for cell in rows[3]][-1] == "better"
    assert len({len(row) for row in rows}) == 1
    html = page.read_text()
    assert "<svg" in html
    assert "http:" not in html
    assert "https:" not in html
    assert sorted(path.name for path in page.parent.iterdir()) == ["a.html", "a.md"]


def test_names_are_escaped_on_the_page(good, tmp_path: Path) -> None:
    evil = evaluate(tmp_path / "evil", 1.6, 9, method="<script>alert(1)</script>|")
    main(
        [good[0], evil, "--resamples", "200", "--html", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md")]
    )
    assert "<script>" not in (tmp_path / "a.html").read_text()
    assert "&lt;script&gt;" in (tmp_path / "a.html").read_text()
    assert "</script>\\|" in (tmp_path / "a.md").read_text()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--confidence", "1"], "--confidence 1.0: must be"),
        (["--resamples", "10"], "--resamples 10: must be"),
        (["--baseline", "nobody"], "--baseline nobody: neither a folder nor one of good"),
        ([], "3 run.s. of one method: there is nothing to compare"),
    ],
)
def test_mistakes_end_with_2_and_one_message(good, bad, capsys, extra, message) -> None:
    runs = good if not extra else [*good, *bad]
    with pytest.raises(SystemExit) as ending:
        main([*runs, *extra])
    assert ending.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert re.search(message, error)


def test_a_seed_given_twice_is_refused(good, tmp_path: Path) -> None:
    again = evaluate(tmp_path / "again", 0.8, 1, method="good")
    with pytest.raises(ConfigError, match=r"good-1, .*again: the same method and seed \(1\)"):
        group_runs([open_run(run) for run in (good[0], again)])
    with pytest.raises(ConfigError, match="given twice"):
        group_runs([open_run(good[0]), open_run(good[0])], by_method=False)


def trained(
    folder: Path, noise: float, seed: int, method: str, lr: float, curve: list[float], *, name: str = ""
) -> str:
    """A training's folder: what it logged, and its evaluation on the validation split."""
    logger = CSVLogger(folder, name="log", version="")
    logger.log_hyperparams({"seed": seed, "method": method, "optim": {"lr": lr, "warmup": 0.1}})
    for epoch, value in enumerate(curve):
        logger.log_metrics({"val/recall@1": value, "epoch": epoch}, step=epoch)
    logger.save()
    evaluate(folder / "validation", noise, seed, method=method, name=name)
    return str(folder)


def test_runs_stand_side_by_side_with_what_differs_and_their_curves(tmp_path: Path, capsys) -> None:
    low = [trained(tmp_path / f"low-{seed}", 1.6, seed, "low", 0.001, [0.1, 0.2, 0.2]) for seed in (1, 2, 3)]
    high = [trained(tmp_path / f"high-{seed}", 0.8, 3 + seed, "high", 0.01, [0.3, 0.4]) for seed in (1, 2)]
    page, text = tmp_path / "a.html", tmp_path / "a.md"
    main([*low, *high, "--metrics", "recall@1", "--resamples", "200", "--html", str(page), "--markdown", str(text)])
    assert "optim.lr" in capsys.readouterr().out
    assert "| optim.lr | 0.001 | 0.01 |" in text.read_text()
    html = page.read_text()
    assert html.count("<polyline") == 5
    assert "best 0.4000, epoch 2" in html
    assert "optim.warmup" not in html + text.read_text()
    assert "prefers-color-scheme: dark" in html
    assert "http:" not in html + text.read_text()


def test_runs_of_one_name_are_called_by_what_differs(tmp_path: Path, capsys) -> None:
    runs = [trained(tmp_path / str(n), 1.0, 0, f"m{n}", lr, [0.5], name="demo") for n, lr in enumerate([0.001, 0.01])]
    page, shown = tmp_path / "a.html", ["--metrics", "recall@1", "--resamples", "200"]
    main([*runs, "--baseline", "lr 0.01", "--html", str(page), *shown])
    assert re.search(r"lr 1e-3 +1 ", capsys.readouterr().out)
    # In the table of settings, and as the key of the curves.
    for label in ("lr 1e-3", "lr 0.01"):
        assert page.read_text().count(f">{label}<") == 3
    # By the options of the config groups where Hydra has left them.
    for run, loss in zip(runs, ("triplet", "infonce"), strict=True):
        (Path(run) / ".hydra").mkdir()
        choices = f"{{loss: {loss}, logger: csv, hydra/launcher: basic}}"
        (Path(run) / ".hydra" / "hydra.yaml").write_text(f"hydra: {{runtime: {{choices: {choices}}}}}")
    main([*runs, "--baseline", "infonce", *shown])
    assert "triplet" in capsys.readouterr().out


def test_a_sweep_stands_for_the_trials_that_finished(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    for number, (method, seed) in enumerate([("a", 0), ("b", 0), ("b", 1), ("a", 0), ("c", 0)]):
        trained(sweep / f"trial-{number:04d}" / f"seed-{seed}", 1.0, seed, method, 0.1, [0.5])
    (sweep / "multirun.yaml").write_text("")
    # A plain multirun: all that differ in method or seed.
    runs = [str(Path(run).relative_to(sweep)) for run in expand_sweep(str(sweep))]
    assert runs == ["trial-0000/seed-0", "trial-0001/seed-0", "trial-0002/seed-1", "trial-0004/seed-0"]
    (sweep / "trials.csv").write_text(
        "trial,folder,state\n0,trial-0000,fail\n1,trial-0001,complete\n2,trial-0002,pruned\n3,trial-0003,complete\n"
    )
    runs = [str(Path(run).relative_to(sweep)) for run in expand_sweep(str(sweep))]
    assert runs == ["trial-0001/seed-0", "trial-0003/seed-0"]
    (sweep / "trials.csv").write_text("trial,folder,state\n")
    with pytest.raises(ConfigError, match="a sweep in which no run finished"):
        expand_sweep(str(sweep))
    assert expand_sweep("elsewhere") == ["elsewhere"]


def test_what_all_folders_end_with_is_no_part_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [evaluate(Path("runs") / name / "eval" / "test", 0.8, method=None) for name in ("a", "b")]
    assert [each.label for each in group_runs([open_run(run) for run in runs])] == ["runs/a", "runs/b"]


def test_an_evaluation_goes_before_the_training_s_own(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    evaluate(folder / "validation", 0.8, method="val")
    assert open_run(str(folder)).method == "val"
    evaluate(folder / "test", 0.8, method="test")
    assert open_run(str(folder)).method == "test"
