"""Short names of runs."""

import itertools

import pytest

from src.eval.labels import distinguishing_labels, run_name

BASE = {"loss": "triplet", "loss.margin": "0.1", "miner": "batch_hard", "optim.lr": "0.001", "optim.epochs": "5"}


def varied(*changes: dict[str, str]) -> list[str]:
    return distinguishing_labels([{**BASE, **change} for change in changes])


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        # The rate that differs is told, the miner that follows from the loss is not.
        (
            [{}, {"optim.lr": "3e-4"}, {"loss": "infonce", "miner": "none", "loss.margin": "not set"}],
            ["triplet, lr 1e-3", "triplet, lr 3e-4", "infonce, lr 1e-3"],
        ),
        ([{}, {"optim.epochs": "10"}], ["epochs 5", "epochs 10"]),
        ([{}, {"miner": "none"}], ["batch_hard", "no miner"]),
        ([{}, {"model.weights": "/home/me/w.ckpt"}], ["no weights", "weights w.ckpt"]),
        ([{"optim.lr": "0.12345"}, {"optim.lr": "16"}], ["lr 0.1235", "lr 16"]),
        ([{"a.p": "1", "b.p": "1"}, {"a.p": "1", "b.p": "2"}], ["p 1", "p 2"]),
        # Where the data are only where nothing else differs.
        ([{"data.root": "/a/one"}, {"data.root": "/b/two", "optim.lr": "1"}], ["lr 1e-3", "lr 1"]),
        ([{"data.root": "/a/one"}, {"data.root": "/b/two"}], ["root one", "root two"]),
        ([{}, {}], ["", ""]),
    ],
)  # fmt: skip
def test_labels_hold_what_distinguishes(changes, labels) -> None:
    assert varied(*changes) == labels


def test_all_combinations_have_labels_of_their_own() -> None:
    grid = [{"a": a, "x.b": b, "y.b": c} for a, b, c in itertools.product("pq", "123", ("0.1", "0.2"))]
    labels = distinguishing_labels(grid)
    assert len({*labels}) == 12
    assert labels[0] == "p, x.b 1, y.b 0.1"


def test_a_run_is_named_after_what_it_changes() -> None:
    overrides = ["experiment=demo", "hydra.run.dir=/x", "logger=[csv,wandb]", "loss=triplet", "+optim.lr=0.0003"]
    overrides += ["seed=2", "~model.weights", "miner=none", "data.augmentation='strong'", "trainer.resume=true"]
    assert run_name("demo", overrides, 2) == "demo, triplet, lr 3e-4, no weights, no miner, augmentation strong, seed 2"
    assert run_name("demo", [], 0) == "demo, seed 0"
    assert len(run_name("demo", [f"loss.part_{n}=true" for n in range(40)], 7)) < 128
