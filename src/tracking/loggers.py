"""Names, tags and config of a run at its loggers, and closing them."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from src.contracts.settings import TrainSettings
from src.eval.training_log import EARLIER
from src.models.checkpoint import method_of
from src.models.sources import backbone_name

__all__ = ["run_arguments", "run_config", "tracked"]


def run_arguments(logger: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """Further arguments of a logger that its config cannot hold: the seeds of one method share a group.

    Args:
        logger: its config: `_target_` and keywords. Values that are set there are kept, and its tags are added to.
        card: of the run.

    Returns:
        `group`, `tags` and `job_type` for Weights & Biases, `tags` for MLflow, nothing for others.
    """
    names = {
        "data": card["name"],
        "model": backbone_name(card["model"]["backbone"]),
        "loss": card["loss"].get("name"),
        "miner": card["miner"].get("name"),
    }
    known = {part: str(name) for part, name in names.items() if name}
    kind = logger["_target_"].rsplit(".", 1)[-1]
    if kind == "WandbLogger":
        tags = [*dict.fromkeys([*(logger.get("tags") or ()), *known.values()])]
        return {"group": logger.get("group") or method_of(card), "tags": tags, "job_type": "train"}
    if kind == "MLflowLogger":
        return {"tags": {**known, "method": method_of(card), "seed": str(card["seed"]), **(logger.get("tags") or {})}}
    return {}


def run_config(settings: TrainSettings, card: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved settings without the loggers'; entries of the card (components by name) replace theirs.

    Args:
        settings: the run's; checked, hence without secrets.
        card: made from the settings.
    """
    return {**{name: part for name, part in asdict(settings).items() if name != "logger"}, **card} | {
        "method": method_of(card)
    }


@contextmanager
def tracked(
    loggers: Sequence[Logger],
    config: Mapping[str, Any],
    *,
    continued: bool = False,
    best: tuple[str, str] = ("val/recall@1", "max"),
) -> Iterator[None]:
    """Log a run's config, and close the loggers at the end, so that the process can run another training.

    Args:
        loggers: of the run.
        config: values that loggers can write.
        best: the value that chooses the checkpoint, and `max` or `min`.
        continued: whether the run is resumed from a checkpoint; its earlier log is then kept.
    """
    for logger in loggers:
        if isinstance(logger, CSVLogger):
            _keep_earlier(Path(logger.log_dir)) if continued else _drop_earlier(Path(logger.log_dir))
        with warnings.catch_warnings():
            # The earlier log was kept above.
            warnings.filterwarnings("ignore", message=".*exists and is not empty")
            logger.log_hyperparams(dict(config))
        if isinstance(logger, WandbLogger):
            # Otherwise the run table shows the last validation, while checkpoints are chosen by the best.
            logger.experiment.define_metric(best[0], summary=best[1])
    try:
        yield
    except BaseException:
        _close(loggers, failed=True)
        raise
    _close(loggers, failed=False)


@rank_zero_only
def _keep_earlier(folder: Path) -> None:
    """Rename the log of a run that is continued: Lightning would overwrite it."""
    log = folder / "metrics.csv"
    if log.is_file():
        number = len([*folder.glob(EARLIER)]) + 1
        log.rename(folder / EARLIER.replace("*", f"{number:03d}"))


@rank_zero_only
def _drop_earlier(folder: Path) -> None:
    """Remove logs of another run in this folder, which would be read as this run's."""
    for part in folder.glob(EARLIER):
        part.unlink()


@rank_zero_only
def _close(loggers: Sequence[Logger], *, failed: bool) -> None:
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=int(failed))
