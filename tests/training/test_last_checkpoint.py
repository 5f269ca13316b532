"""Runs that are killed, and go on to the weights of the run that was not."""

import multiprocessing
import random
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings import DataSettings
from src.models.checkpoint import CARD
from src.training.last_checkpoint import LAST, last_checkpoint
from src.training.trainer import BEST
from tests.training.killed_run import run

# Processes forked from one that has imported everything and done nothing.
PROCESSES = multiprocessing.get_context("forkserver")
# pandas: where it is installed pyarrow imports it at first use.
PROCESSES.set_forkserver_preload(["pandas", "tests.training.killed_run"])


@pytest.fixture(scope="module")
def data(data_settings, folder_catalogue, tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    folder = tmp_path_factory.mktemp("data")
    root = folder_catalogue(folder / "shop", items=16, images=4)
    return data_settings(root=str(root), cache=str(folder / "cache"))


def start(folder: Path, data: DataSettings, **arguments: Any) -> ForkServerProcess:
    process = PROCESSES.Process(target=run, args=(folder, data), kwargs=arguments)
    process.start()
    return process


def finish(folder: Path, data: DataSettings, **arguments: Any) -> int | None:
    process = start(folder, data, **arguments)
    process.join(120)
    return process.exitcode


def contents(folder: Path) -> dict[str, Any]:
    """All that a run comes to: both checkpoints, optimiser, schedule, best score, patience, random numbers."""
    last = torch.load(folder / LAST, weights_only=True)
    best = torch.load(folder / BEST, weights_only=True)
    callbacks = {
        # `current_score` is told and not used: Lightning does not restore it.
        name: {key: value for key, value in state.items() if not key.endswith(("path", "models", "current_score"))}
        for name, state in last["callbacks"].items()
    }
    return {
        "last": last["state_dict"],
        "best": best["state_dict"],
        "steps": (last["global_step"], best["global_step"]),
        "optimizer": last["optimizer_states"],
        "schedule": last["lr_schedulers"],
        "callbacks": callbacks,
    }


def same(one: Any, other: Any) -> bool:
    """Bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(scope="module")
def uninterrupted(data: DataSettings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert finish(folder, data) == 0
    found = contents(folder)
    # Seven batches an epoch; a checkpoint every four.
    assert found["steps"][0] == 21
    return found


KILLS = [
    ("within a step", 5),
    ("while validating", 7),
    ("half saved", 8),
    ("unnamed saved", 12),
    ("after validating", 14),
    ("unnamed saved", 14),
    ("after a step", 15),
    ("within a step", 18),
    ("half saved", 21),
]


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_weights_of_one_that_is_not(
    tmp_path: Path, data: DataSettings, uninterrupted: dict[str, Any]
) -> None:
    for where, step in KILLS:
        assert finish(tmp_path, data, where=where, step=step) == -signal.SIGKILL, (where, step)
    assert finish(tmp_path, data) == 0
    assert same(contents(tmp_path), uninterrupted)
    # And a run that is over is left as it is.
    before = (tmp_path / BEST).read_bytes()
    assert finish(tmp_path, data) == 0
    assert (tmp_path / BEST).read_bytes() == before


@pytest.mark.slow
def test_kills_at_any_time_change_nothing(tmp_path: Path, data: DataSettings, uninterrupted: dict[str, Any]) -> None:
    delays = random.Random(0)
    for _ in range(6):
        process = start(tmp_path, data)
        process.join(delays.uniform(0.2, 1.5))
        process.kill()
        process.join()
    assert finish(tmp_path, data) == 0
    assert same(contents(tmp_path), uninterrupted)


def test_a_run_that_is_paused_ends_as_one_that_is_not(
    tmp_path: Path, data: DataSettings, uninterrupted: dict[str, Any]
) -> None:
    # A third of three epochs, and the same again, as after a kill behind it.
    for share, steps in ((1 / 3, 7), (1 / 3, 7), (0.5, 14)):
        assert finish(tmp_path, data, pause_at=share) == 0
        assert contents(tmp_path)["steps"][0] == steps
    assert finish(tmp_path, data) == 0
    assert same(contents(tmp_path), uninterrupted)


def test_a_run_in_a_moved_folder_goes_on_there_and_stays_stopped(tmp_path: Path, data: DataSettings) -> None:
    """Every recall is 1 here, so patience ends the run after its second epoch."""
    here, there = tmp_path / "here", tmp_path / "there"
    assert finish(here, data, patience=1) == 0
    before = contents(here)
    assert before["steps"] == (14, 7)
    here.rename(there)
    assert finish(there, data, patience=1) == 0
    assert not here.exists()
    assert same(contents(there), before)


def write_checkpoint(folder: Path, card: dict[str, Any]) -> None:
    (folder / LAST).parent.mkdir()
    torch.save({CARD: card}, folder / LAST)


def test_a_run_with_another_config_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    card = {"seed": 0, "name": "a", "data": {"k": 4, "workers": 0}, "model": {"mean": [1, 2]}, "loss": {"name": "A"}}
    assert last_checkpoint(tmp_path, card) is None
    write_checkpoint(tmp_path, card)
    same_run = {**card, "name": "b", "data": {"k": 4, "workers": 3}, "model": {"mean": (1, 2)}}
    assert last_checkpoint(tmp_path, same_run) == tmp_path / LAST
    other = {**card, "seed": 1, "data": {"k": 2, "workers": 0}, "loss": {"name": "A", "margin": 0.1}}
    with pytest.raises(ConfigError) as caught:
        last_checkpoint(tmp_path, other)
    assert "`data.k` was 4, is 2; `loss.margin` was not set, is 0.1; `seed` was 0, is 1" in str(caught.value)
    assert "hydra.run.dir=DIR" in str(caught.value)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {})
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:100])
    with pytest.raises(LookalikeError, match=r"last\.ckpt: not a readable checkpoint .*delete it to start anew"):
        last_checkpoint(tmp_path, {})
