"""An objective built from its settings."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from src.contracts.errors import ConfigError
from src.datamodules.training_set import Facts, TrainingSet
from src.losses.build import build_objective, try_objective
from src.losses.objective import Objective
from src.losses.pairs import PairRule
from src.losses.weighted_sum import WeightedSum

ITEMS = np.array([0, 0, 1, 1, 2, 2])
IMAGES = TrainingSet(
    rows=np.arange(6),
    items=ITEMS,
    parents=np.array([0, 0, 0, 0, 1, 1]),
    categories=np.array([0, 0, 0, 0, -1, -1]),
    domains=np.array([0, 1, 0, 1, -1, -1]),
)
LIBRARY = "pytorch_metric_learning.losses"
TRIPLET = {"_target_": f"{LIBRARY}.TripletMarginLoss", "margin": 0.3}
PROXIES = {"_target_": f"{LIBRARY}.ProxyAnchorLoss", "alpha": 16}
HARD = {"_target_": "pytorch_metric_learning.miners.BatchHardMiner"}
CATEGORY_HARD = {"_target_": "src.miners.category_hard.CategoryHardMiner"}


def make(component: dict) -> object:
    module, name = component["_target_"].rsplit(".", 1)
    return getattr(import_module(module), name)(**{key: value for key, value in component.items() if key != "_target_"})


def build(loss: dict, miner: dict, *, images: TrainingSet = IMAGES, **arguments: object) -> Objective | WeightedSum:
    return build_objective(loss, miner, make=make, images=images, dim=7, **arguments)


def test_proxies_get_their_numbers_from_the_training_set_and_the_encoder() -> None:
    objective = build(PROXIES, {})
    assert objective.loss.proxies.shape == (3, 7)
    assert objective.loss.alpha == 16
    assert build({**PROXIES, "num_classes": 3, "embedding_size": 7}, {}).loss.proxies.shape == (3, 7)


@pytest.mark.parametrize("name", ["OwnProxies", "OwnArcFace"])
def test_proxies_of_ones_own_loss_as_well(name: str) -> None:
    objective = build({"_target_": f"tests.losses.own_losses.{name}"}, {})
    assert {tuple(weights.shape) for weights in objective.parameters()} <= {(3, 7), (7, 3)}
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(6, 7, generator=generator))
    items, unknown = torch.from_numpy(ITEMS), torch.full((6,), -1)
    value = objective(embeddings, Facts(items, torch.arange(6), items, unknown, unknown))
    value.backward()
    assert all(weights.grad.abs().sum() > 0 for weights in objective.parameters())


@pytest.mark.parametrize("name", ["num_classes", "embedding_size"])
def test_other_numbers_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"`loss\.{name}=5`: the training set and the encoder make it [37]"):
        build({**PROXIES, name: 5}, {})


def test_each_term_gets_what_it_can_use() -> None:
    terms = {"a": {"loss": TRIPLET, "miner": HARD}, "b": {"loss": PROXIES, "weight": 2}}
    built = build({"terms": terms}, {}, pairs="cross_domain", variants="ignored", memory=12, memory_start=3)
    pairs, proxies = built.terms["a"], built.terms["b"]
    assert (pairs.loss.margin, pairs._rule) == (0.3, PairRule(cross_domain=True, variants=False))
    assert (tuple(pairs.memory.embeddings.shape), pairs.memory.start) == ((12, 7), 3)
    assert proxies.memory is None
    assert built._weights == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize(
    ("images", "arguments", "named"),
    [
        (replace(IMAGES, domains=np.full(6, 1)), {"pairs": "cross_domain"}, "needs training images of both domains"),
        (replace(IMAGES, domains=np.full(6, -1)), {"pairs": "cross_domain"}, "needs training images of both domains"),
        (replace(IMAGES, parents=ITEMS), {"variants": "ignored"}, "no two items of the training set share a parent"),
        (replace(IMAGES, categories=np.full(6, -1)), {"miner": CATEGORY_HARD}, "needs categories"),
    ],
)
def test_what_the_training_set_does_not_know_is_not_asked_of_it(
    images: TrainingSet, arguments: dict, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        build(TRIPLET, arguments.pop("miner", {}), images=images, **arguments)


def test_each_loss_and_miner_is_tried_before_there_is_data() -> None:
    before = torch.get_rng_state()
    try_objective(PROXIES, {}, make=make)
    assert torch.equal(before, torch.get_rng_state())
    miner = {"_target_": "pytorch_metric_learning.miners.BatchEasyHardMiner", "pos_strategy": "hardest"}
    terms = {"terms": {"a": {"loss": PROXIES}, "b": {"loss": TRIPLET, "miner": miner, "weight": 0.5}}}
    with pytest.raises(ValueError, match="pos_strategy must be one of"):
        try_objective(terms, {}, make=make)
