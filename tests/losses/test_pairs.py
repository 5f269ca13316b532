"""Which pairs are allowed, against loops over all of them."""

from itertools import product

import pytest
import torch

from src.losses.pairs import PairRule, all_pairs, all_triplets
from tests.losses.batches import FACTS

RULES = [PairRule(cross_domain=cross, variants=variants) for cross, variants in product((False, True), (False, True))]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", FACTS)
def test_pairs_and_triplets_are_those_that_loops_find(rule: PairRule, name: str) -> None:
    facts = FACTS[name]
    usable = torch.rand(12, 12, generator=torch.Generator().manual_seed(0)) < 0.7
    usable.fill_diagonal_(False)
    pairs = rule(facts, facts, usable)
    items, _, parents, _, domains = (column.tolist() for column in facts)
    positive, negative = [], []
    for a, r in product(range(12), range(12)):
        crosses = domains[a] == -1 or domains[r] == -1 or domains[a] != domains[r]
        if not usable[a, r] or (rule.cross_domain and not crosses):
            continue
        if items[a] == items[r]:
            positive.append((a, r))
        elif rule.variants or parents[a] != parents[r]:
            negative.append((a, r))
    listed = [column.tolist() for column in all_pairs(pairs)]
    assert list(zip(*listed[:2], strict=True)) == positive
    assert list(zip(*listed[2:], strict=True)) == negative
    triplets = [(a, p, n) for a, p in positive for other, n in negative if other == a]
    assert list(zip(*(column.tolist() for column in all_triplets(pairs)), strict=True)) == triplets
