"""What loggers are told of a run, read back from what they wrote."""

from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.contracts.settings import EncoderSettings, TrainerSettings, TrainSettings
from src.eval.training_log import learning_curve
from src.models.checkpoint import make_card, method_of
from src.tracking.loggers import run_arguments, run_config, tracked
from src.tracking.mlflow_logger import MLflowLogger


@pytest.fixture
def settings(data_settings) -> TrainSettings:
    return TrainSettings(
        name="test",
        seed=3,
        data=data_settings(),
        model=EncoderSettings(backbone="resnet10t", weights="/somewhere/w.safetensors"),
        loss={"_target_": "pytorch_metric_learning.losses.TripletMarginLoss", "margin": 0.1},
        trainer=TrainerSettings(epochs=1),
        logger={"csv": {"_target_": "x", "save_dir": "runs"}},
    )


@pytest.fixture
def card(settings) -> dict:
    return make_card(settings)


def test_seeds_of_a_method_share_a_group_and_what_is_configured_stays(settings, card) -> None:
    wandb = {"_target_": "lightning.pytorch.loggers.WandbLogger", "group": None, "tags": ["paper"]}
    arguments = run_arguments(wandb, card)
    assert arguments == {
        "group": method_of(card),
        "tags": ["paper", "test", "resnet10t", "TripletMarginLoss"],
        "job_type": "train",
    }
    settings.seed = 4
    assert run_arguments(wandb, make_card(settings)) == arguments
    settings.optim.lr *= 2
    assert run_arguments(wandb, make_card(settings))["group"] != arguments["group"]
    assert run_arguments({**wandb, "group": "mine"}, card)["group"] == "mine"


def test_others_are_left_alone(card) -> None:
    mlflow = {"_target_": "src.tracking.mlflow_logger.MLflowLogger", "tags": {"team": "search", "seed": "x"}}
    tags = run_arguments(mlflow, card)["tags"]
    assert (tags["method"], tags["team"], tags["seed"], tags["loss"]) == (
        method_of(card),
        "search",
        "x",
        "TripletMarginLoss",
    )
    assert run_arguments({"_target_": "lightning.pytorch.loggers.CSVLogger"}, card) == {}


def test_the_config_holds_all_settings_but_the_loggers(settings, card) -> None:
    config = run_config(settings, card)
    assert config["optim"]["lr"] == settings.optim.lr
    assert config["loss"] == {"name": "TripletMarginLoss", "margin": 0.1}
    assert config["start"]["weights"] == "w.safetensors"
    assert config["method"] == method_of(card)
    assert "logger" not in config
    # No path of this machine.
    assert "/somewhere" not in str(config)


def test_several_loggers_at_once_each_get_everything(tmp_path: Path, settings, card) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow = {"_target_": "src.tracking.mlflow_logger.MLflowLogger"}
    loggers = [
        CSVLogger(tmp_path, name="log", version=""),
        TensorBoardLogger(tmp_path, name="tensorboard", version="", default_hp_metric=False),
        MLflowLogger(
            experiment_name="e", run_name="test-seed3", tracking_uri=store, tags=run_arguments(mlflow, card)["tags"]
        ),
    ]
    with tracked(loggers, run_config(settings, card)):
        for logger in loggers:
            logger.log_metrics({"val/recall@1": 0.25, "train/loss": 2.0}, step=7)
            logger.log_metrics({"val/recall@1": 0.5}, step=9)

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("val/recall@1")] == [(7, 0.25), (9, 0.5)]
    assert "backbone: resnet10t" in (tmp_path / "tensorboard" / "hparams.yaml").read_text()
    assert "0.25" in (tmp_path / "log" / "metrics.csv").read_text()

    client = loggers[-1].experiment
    (run,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "test-seed3"
    assert run.data.metrics == {"val/recall_at_1": 0.5, "train/loss": 2.0}
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/recall_at_1")] == [7, 9]
    assert run.data.params["optim/lr"] == str(settings.optim.lr)
    assert run.data.tags["method"] == method_of(card)


def test_a_run_that_fails_is_closed_as_failed(tmp_path: Path, settings, card) -> None:
    class Watched(CSVLogger):
        status = ""

        def finalize(self, status: str) -> None:
            self.status = status
            super().finalize(status)

    logger = Watched(tmp_path, name="log", version="")
    with pytest.raises(RuntimeError, match="by design"), tracked([logger], run_config(settings, card)):
        raise RuntimeError("by design")
    assert logger.status == "failed"


def test_a_run_that_is_continued_keeps_what_it_had_logged(tmp_path: Path, settings, card) -> None:
    # The last validation of the first part comes after its last checkpoint, and is made again.
    for part in ([(0, 0.125), (1, 0.25), (2, 0.5)], [(2, 0.5), (3, 0.75)], [(4, 0.875)]):
        logger = CSVLogger(tmp_path, name="log", version="")
        with tracked([logger], run_config(settings, card), continued=True):
            for epoch, value in part:
                logger.log_metrics({"val/recall@1": value, "epoch": epoch}, step=epoch)
    assert learning_curve(tmp_path, "recall@1") == [(1, 0.125), (2, 0.25), (3, 0.5), (4, 0.75), (5, 0.875)]
    names = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert names == ["hparams.yaml", "metrics-001.csv", "metrics-002.csv", "metrics.csv"]
    # The same folder, begun again: nothing of the run before may stand in its curve.
    logger = CSVLogger(tmp_path, name="log", version="")
    with tracked([logger], run_config(settings, card)):
        logger.log_metrics({"val/recall@1": 0.0625, "epoch": 0}, step=0)
    assert learning_curve(tmp_path, "recall@1") == [(1, 0.0625)]
