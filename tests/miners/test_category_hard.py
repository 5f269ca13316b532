"""Category-aware hard negatives against loops over all images."""

import math

import pytest
import torch

from src.contracts.errors import ConfigError
from src.datamodules.training_set import Facts
from src.losses.info_nce import InfoNCE
from src.losses.objective import Objective
from src.losses.pairs import PairRule
from src.miners.category_hard import CategoryHardMiner
from src.miners.protocol import MinerInput
from tests.losses.batches import CONSTANT, FACTS, embeddings, facts

BATCHES = {
    **FACTS,
    "some categories unknown": facts(
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
        parents=[0, 0, 0, 0, 2, 2, 3, 3, 4, 4, 5, 5],
        categories=[0, 0, 0, 0, 0, 0, 1, 1, -1, -1, -1, -1],
    ),
}


def slow(vectors: torch.Tensor, known: Facts, rule: PairRule, negatives: int, skip: float) -> list[tuple[int, int]]:
    items, _, parents, categories, domains = (column.tolist() for column in known)
    cosine = (vectors @ vectors.T).tolist()
    chosen = []
    for a in range(len(items)):
        candidates = [
            r
            for r in range(len(items))
            if items[r] != items[a]
            and parents[r] != parents[a]
            and not (rule.cross_domain and domains[r] == domains[a] != -1)
        ]
        alike = [r for r in candidates if categories[r] == categories[a] != -1]
        ranked = sorted(alike or candidates, key=lambda r: -cosine[a][r])
        first = math.floor(skip * len(ranked))
        chosen += [(a, r) for r in ranked[first : first + negatives]]
    return chosen


@pytest.mark.parametrize("rule", [PairRule(), PairRule(cross_domain=True)], ids=str)
@pytest.mark.parametrize("vectors", [embeddings(12).detach(), CONSTANT], ids=["random", "constant"])
@pytest.mark.parametrize("batch", BATCHES)
def test_negatives_are_those_that_loops_find(batch: str, vectors: torch.Tensor, rule: PairRule) -> None:
    known = BATCHES[batch]
    pairs = rule(known, known, ~torch.eye(12, dtype=torch.bool))
    for negatives, skip in ((1, 0.0), (4, 0.25), (100, 0.0), (2, 0.9)):
        miner = CategoryHardMiner(negatives=negatives, skip=skip)
        anchors, positives, others, found = miner(MinerInput(vectors, known, vectors, known, pairs))
        listed = sorted(zip(others.tolist(), found.tolist(), strict=True))
        assert listed == sorted(slow(vectors, known, rule, negatives, skip))
        assert torch.equal(torch.stack([anchors, positives]), torch.stack(torch.where(pairs.positive)))


def test_the_loss_is_over_what_was_mined() -> None:
    known, vectors = BATCHES["some categories unknown"], embeddings(12)
    value = Objective(InfoNCE(), miner=CategoryHardMiner(negatives=1))(vectors, known)
    cosine = (vectors @ vectors.T).detach().double() / 0.07
    hardest = dict(slow(vectors.detach(), known, PairRule(), 1, 0.0))
    expected = [
        -math.log(math.exp(cosine[a, p]) / (math.exp(cosine[a, p]) + math.exp(cosine[a, hardest[a]])))
        for a in range(12)
        for p in range(12)
        if a != p and known.items[a] == known.items[p]
    ]
    assert float(value.detach()) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"negatives": 0}, r"miner\.negatives=0"), ({"skip": 1.0}, r"miner\.skip=1\.0"), ({"skip": -0.1}, "miner.skip")],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        CategoryHardMiner(**arguments)
