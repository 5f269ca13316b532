"""Two processes that share a batch, against one that has all of it."""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from src.losses.gather import gather_batch
from tests.losses.gathered_loss import OBJECTIVES, STEPS, gradients, images, in_process

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.losses.gathered_loss", "tests.training.killed_run"])


@pytest.fixture(scope="module", params=[0, 3], ids=["whole", "in chunks"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    folder: Path = tmp_path_factory.mktemp("processes")
    started = [PROCESSES.Process(target=in_process, args=(rank, 2, folder, request.param)) for rank in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_the_gradient_is_that_of_one_process_with_the_whole_batch(shared: list[dict[str, Any]], kind: str) -> None:
    alone = gradients(kind)
    assert len(alone) == STEPS
    for step in range(STEPS):
        assert max(float(gradient.abs().max()) for gradient in alone[step].values()) > 1e-3
        for name, gradient in alone[step].items():
            for process in shared:
                off = (process[kind][step][name] - gradient).abs().max() / gradient.abs().max()
                assert off < 1e-5, (name, step, off)


def test_without_other_processes_nothing_is_done() -> None:
    pixels, facts = images(0)
    embeddings = pixels.flatten(1)
    assert gather_batch(embeddings, facts) == (embeddings, facts)
