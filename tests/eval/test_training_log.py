"""What is read of a training's folder: config, differences, curves."""

from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger

from src.eval.training_log import config_differences, flat_config, learning_curve, training_folder


def logged(folder: Path, config: dict, values: list[float]) -> Path:
    """As a training writes it."""
    logger = CSVLogger(folder, name="log", version="")
    logger.log_hyperparams(config)
    for epoch, value in enumerate(values):
        logger.log_metrics({"train/loss": 1.0, "epoch": epoch}, step=10 * epoch)
        logger.log_metrics({"val/recall@1": value, "val/mrr": value / 2, "epoch": epoch}, step=10 * epoch + 9)
    logger.save()
    return folder


def test_a_training_is_read_as_its_logger_wrote_it(tmp_path: Path) -> None:
    config = {"name": "a", "seed": 3, "method": "f", "optim": {"lr": 0.5, "groups": {}}, "data": {"k": [1, 2]}}
    folder = logged(tmp_path / "run", config, [0.25, 0.5, 0.125])
    assert learning_curve(folder, "recall@1") == [(1, 0.25), (2, 0.5), (3, 0.125)]
    assert learning_curve(folder, "mrr")[1] == (2, 0.25)
    assert learning_curve(folder, "recall@7") == []
    assert flat_config(folder) == {"optim.lr": "0.5", "optim.groups": "{}", "data.k": "[1, 2]"}


def test_the_training_of_an_evaluation_is_above_it(tmp_path: Path) -> None:
    folder = logged(tmp_path / "run", {}, [0.5])
    below = folder / "evaluations" / "test"
    below.mkdir(parents=True)
    for given in (folder, below, below / "queries.parquet"):
        assert training_folder(given) == folder
    assert training_folder(tmp_path) is None


def test_what_is_damaged_or_absent_is_empty(tmp_path: Path) -> None:
    assert (flat_config(tmp_path), learning_curve(tmp_path, "recall@1")) == ({}, [])
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "hparams.yaml").write_text("a: [1\n")
    (tmp_path / "log" / "metrics.csv").write_text("epoch,val/recall@1\n0,nan\n1,0.5\n1,0.75\n,0.9\n2,\n")
    assert flat_config(tmp_path) == {}
    # A validation that was repeated after a kill counts once; what is not finite does not count.
    assert learning_curve(tmp_path, "recall@1") == [(2, 0.75)]
    (tmp_path / "log" / "hparams.yaml").write_text("x: !!python/object/apply:os.system ['false']\n")
    assert flat_config(tmp_path) == {}
    (tmp_path / "log" / "metrics.csv").write_text("epoch,val/recall@1\nzero,0.5\n")
    assert learning_curve(tmp_path, "recall@1") == []


@pytest.mark.parametrize(
    ("configs", "differences"),
    [
        ([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}], [("b", ["2", "3"])]),
        ([{"a": "1"}, {"b": "1"}], [("a", ["1", "not set"]), ("b", ["not set", "1"])]),
        ([{"a": "1"}, {"a": "2"}, {}], [("a", ["1", "2", "?"])]),
        ([{"a": "1"}, {"a": "1"}, {}], []),
        ([{}, {}], []),
        ([], []),
    ],
)
def test_only_what_differs_is_shown(configs, differences) -> None:
    assert config_differences(configs) == differences
