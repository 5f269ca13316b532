"""What an objective computes over chosen pairs, against the formulas over those pairs by loops."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses, miners
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.datamodules.training_set import Facts
from src.losses.cross_batch_memory import CrossBatchMemory
from src.losses.info_nce import InfoNCE
from src.losses.objective import Objective
from src.losses.pairs import PairRule
from src.losses.recall_at_k import RecallAtKSurrogate
from src.losses.weighted_sum import WeightedSum
from tests.losses import slow_losses
from tests.losses.batches import CONSTANT, FACTS, embeddings, facts
from tests.losses.test_pairs import RULES

PAIR_LOSSES: dict[str, tuple[Callable[[], nn.Module], Callable[..., float]]] = {
    "infonce": (InfoNCE, slow_losses.info_nce),
    "supcon": (losses.SupConLoss, slow_losses.sup_con),
    "multi_similarity": (losses.MultiSimilarityLoss, slow_losses.multi_similarity),
    "circle": (losses.CircleLoss, slow_losses.circle),
    "triplet": (lambda: losses.TripletMarginLoss(margin=0.1), slow_losses.triplet),
    "triplet_soft": (lambda: losses.TripletMarginLoss(margin=0.0, smooth_loss=True), slow_losses.triplet_soft),
    "recall_at_k": (RecallAtKSurrogate, slow_losses.recall_at_k),
}


def slow(
    loss: Callable[..., float], rule: PairRule, vectors: Tensor, known: Facts, older: tuple[Tensor, Facts] | None = None
) -> float:
    """The loss over the allowed pairs of a batch with itself and with an older one."""
    count = len(vectors)
    references = vectors.detach() if older is None else torch.cat([vectors.detach(), older[0]])
    columns = [column.tolist() for column in known]
    if older is not None:
        columns = [column + further.tolist() for column, further in zip(columns, older[1], strict=True)]
    items, images, parents, _, domains = columns
    positive, negative = np.zeros((2, count, len(references)), bool)
    for a in range(count):
        for r in range(len(references)):
            itself = a == r if r < count else images[a] == images[r]
            crosses = domains[a] != domains[r] or -1 in (domains[a], domains[r])
            if itself or (rule.cross_domain and not crosses):
                continue
            positive[a, r] = items[a] == items[r]
            negative[a, r] = items[a] != items[r] and (rule.variants or parents[a] != parents[r])
    cosine = (vectors.detach().double() @ references.double().T).numpy()
    # The library takes a batch with no more than one pair of each sort for empty.
    return loss(cosine, positive, negative) if max(positive.sum(), negative.sum()) > 1 else 0.0


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_each_loss_is_computed_over_the_allowed_pairs_only(name: str, rule: PairRule) -> None:
    make, reference = PAIR_LOSSES[name]
    for batch, known in FACTS.items():
        vectors = embeddings(12)
        value = Objective(make(), rule=rule)(vectors, known)
        value.backward()
        expected = slow(reference, rule, vectors, known)
        assert float(value.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-5), batch
        assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_constant_embeddings_have_a_finite_gradient(name: str) -> None:
    make, reference = PAIR_LOSSES[name]
    for rule in RULES:
        vectors = CONSTANT.clone().requires_grad_()
        value = Objective(make(), rule=rule)(vectors, FACTS["everything known"])
        value.backward()
        assert float(value.detach()) == pytest.approx(
            slow(reference, rule, vectors, FACTS["everything known"]), rel=1e-3
        )
        assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_all_pairs_are_what_the_library_takes_by_itself(name: str) -> None:
    make, _ = PAIR_LOSSES[name]
    plain, chosen = embeddings(12), embeddings(12)
    known = FACTS["uneven"]
    make()(plain, known.items).backward()
    objective = Objective(make(), memory=CrossBatchMemory(size=16, dim=6))
    objective(chosen, known).backward()
    torch.testing.assert_close(plain.grad, chosen.grad)


@pytest.mark.parametrize("rule", [RULES[0], RULES[-2]], ids=str)
@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_a_memory_adds_pairs_but_never_an_older_copy(name: str, rule: PairRule) -> None:
    make, reference = PAIR_LOSSES[name]
    objective = Objective(make(), rule=rule, memory=CrossBatchMemory(size=20, dim=6))
    domains = [0, 1] * 6
    first = facts([0, 0, 0, 1, 1, 1, 5, 5, 5, 6, 6, 6], images=list(range(12)), domains=domains)
    # Four images of the first batch come again, under their numbers.
    second = facts(
        [0, 0, 1, 1, 2, 2, 2, 2, 5, 5, 6, 6], images=[0, 20, 3, 21, *range(30, 34), 6, 22, 9, 23], domains=domains
    )
    earlier, vectors = embeddings(12, seed=1), embeddings(12, seed=2)
    objective(earlier, first)
    value = objective(vectors, second)
    value.backward()
    expected = slow(reference, rule, vectors, second, (earlier.detach(), first))
    assert float(value.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(value.detach()) != pytest.approx(slow(reference, rule, vectors, second), rel=1e-6)
    assert earlier.grad is None


MINERS = {
    "batch_hard": miners.BatchHardMiner,
    "semi_hard": lambda: miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard"),
    "multi_similarity": miners.MultiSimilarityMiner,
    "distance_weighted": miners.DistanceWeightedMiner,
}


def chosen_by(objective: Objective, vectors: Tensor, known: Facts) -> tuple[Tensor, ...]:
    """The tuples that reach the loss."""
    seen = []
    handle = objective.loss.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[2]))
    objective(vectors, known)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", MINERS)
def test_the_library_s_miners_choose_allowed_pairs_only(name: str, rule: PairRule) -> None:
    torch.manual_seed(0)
    vectors = embeddings(12)
    for known in FACTS.values():
        memory = CrossBatchMemory(size=12, dim=6)
        objective = Objective(losses.TripletMarginLoss(), miner=MINERS[name](), rule=rule, memory=memory)
        objective(embeddings(12, seed=3), known)
        tuples = chosen_by(objective, vectors, known)
        twice = Facts(*(column.repeat(2) for column in known))
        pairs = rule(known, twice, ~torch.eye(12, dtype=torch.bool).repeat(1, 2))
        assert pairs.positive[tuples[0], tuples[1]].all()
        assert pairs.negative[tuples[-2] if len(tuples) == 4 else tuples[0], tuples[-1]].all()


@pytest.mark.parametrize("rule", RULES[1:], ids=str)
@pytest.mark.parametrize("batch", FACTS)
def test_batch_hard_finds_the_hardest_of_the_allowed_pairs(batch: str, rule: PairRule) -> None:
    known, vectors = FACTS[batch], embeddings(12)
    objective = Objective(
        losses.TripletMarginLoss(), miner=miners.BatchHardMiner(), rule=rule, memory=CrossBatchMemory(size=1, dim=6)
    )
    found = list(zip(*(column.tolist() for column in chosen_by(objective, vectors, known)), strict=True))
    pairs = rule(known, known, ~torch.eye(12, dtype=torch.bool))
    distance = torch.cdist(vectors, vectors).detach()
    expected = []
    for a in range(12):
        positive, negative = torch.where(pairs.positive[a])[0], torch.where(pairs.negative[a])[0]
        if len(positive) and len(negative):
            expected.append(
                (a, int(positive[distance[a, positive].argmax()]), int(negative[distance[a, negative].argmin()]))
            )
    assert found == expected


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_semi_hard_and_multi_similarity_go_by_the_allowed_pairs_alone(rule: PairRule) -> None:
    vectors = embeddings(12)
    for known in FACTS.values():
        pairs = rule(known, known, ~torch.eye(12, dtype=torch.bool))
        distance, cosine = torch.cdist(vectors, vectors).detach(), (vectors @ vectors.T).detach()
        semi_hard, positives, negatives = set(), set(), set()
        for a in range(12):
            near, far = torch.where(pairs.positive[a])[0].tolist(), torch.where(pairs.negative[a])[0].tolist()
            gaps = {(a, p, n): float(distance[a, n] - distance[a, p]) for p in near for n in far}
            semi_hard |= {triplet for triplet, gap in gaps.items() if 0 < gap <= 0.2}
            positives |= {(a, p) for p in near if far and cosine[a, p] - 0.1 < cosine[a, far].max()}
            negatives |= {(a, n) for n in far if near and cosine[a, n] + 0.1 > cosine[a, near].min()}
        memory = CrossBatchMemory(size=1, dim=6)
        objective = Objective(losses.TripletMarginLoss(), miner=MINERS["semi_hard"](), rule=rule, memory=memory)
        assert listed(*chosen_by(objective, vectors, known)) == semi_hard
        memory = CrossBatchMemory(size=1, dim=6)
        objective = Objective(InfoNCE(), miner=MINERS["multi_similarity"](), rule=rule, memory=memory)
        found = chosen_by(objective, vectors, known)
        assert (listed(*found[:2]), listed(*found[2:])) == (positives, negatives)


def listed(*columns: Tensor) -> set[tuple[int, ...]]:
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_without_rule_or_memory_the_library_is_called_as_it_documents() -> None:
    known = FACTS["everything known"]
    plain, ours = embeddings(12), embeddings(12)
    loss, miner = losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()
    loss(plain, known.items, miner(plain, known.items)).backward()
    Objective(losses.MultiSimilarityLoss(), miner=miners.MultiSimilarityMiner())(ours, known).backward()
    torch.testing.assert_close(plain.grad, ours.grad, rtol=0, atol=0)


def test_smooth_ap_finds_an_item_s_images_in_any_order() -> None:
    vectors, items = embeddings(12), torch.tensor([0, 1, 2, 3] * 3)
    order = items.argsort(stable=True)
    expected = losses.SmoothAPLoss()(vectors[order], items[order])
    found = Objective(losses.SmoothAPLoss())(vectors, facts(items.tolist()))
    torch.testing.assert_close(found, expected)


def test_smooth_ap_refuses_a_batch_with_more_images_of_some_items() -> None:
    with pytest.raises(ConfigError, match=r"SmoothAPLoss needs equally many images of each item.* has 1 to 7"):
        Objective(losses.SmoothAPLoss())(embeddings(12), FACTS["uneven"])


@pytest.mark.parametrize(
    "loss", [losses.ProxyAnchorLoss(4, 6), losses.ArcFaceLoss(4, 6), losses.SmoothAPLoss(), losses.FastAPLoss()]
)
def test_what_compares_no_pairs_refuses_what_would_choose_them(loss: nn.Module) -> None:
    name = type(loss).__name__
    for arguments in (
        {"miner": miners.BatchHardMiner()},
        {"memory": CrossBatchMemory(size=16, dim=6)},
        {"rule": PairRule(cross_domain=True)},
    ):
        with pytest.raises(ConfigError, match=f"{name} does not compare chosen pairs"):
            Objective(loss, **arguments)


def test_similarities_are_computed_in_full_precision() -> None:
    vectors, known = embeddings(12), FACTS["everything known"]
    full = Objective(InfoNCE())(vectors, known)
    with torch.autocast("cpu", torch.bfloat16):
        assert Objective(InfoNCE())(vectors, known) == full
    assert Objective(InfoNCE())(vectors.bfloat16(), known).dtype == torch.float32


def test_a_sum_weighs_its_terms_and_names_them() -> None:
    known, vectors = FACTS["everything known"], embeddings(12)
    pair, proxy = Objective(InfoNCE(), rule=PairRule(cross_domain=True)), Objective(losses.ProxyAnchorLoss(4, 6))
    total = WeightedSum({"pairs": (pair, 0.5), "proxies": (proxy, 2.0)})
    value = total(vectors, known)
    torch.testing.assert_close(value, 0.5 * pair(vectors, known) + 2 * proxy(vectors, known))
    assert list(total.parts) == ["pairs", "proxies"]
    torch.testing.assert_close(total.parts["proxies"], proxy(vectors, known).detach())
    assert not any(part.requires_grad for part in total.parts.values())
    assert [name for name, _ in total.named_parameters()] == ["terms.proxies.loss.proxies"]
