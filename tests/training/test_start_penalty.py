"""Terms that hold an encoder near its start, against loops."""

import math

import lightning
import numpy as np
import pytest
import torch

from src.models.encoder import Encoder
from src.training.start_penalty import StartPenalty, relational_distance, squared_distance
from tests.models.test_encoder import pixels, small
from tests.training.test_freezing import plain_trainer
from tests.training.test_metric_learning import Colours, make_module


def by_hand(embeddings: np.ndarray, reference: np.ndarray) -> float:
    def relative(vectors: np.ndarray) -> list[float]:
        count = len(vectors)
        found = [math.dist(vectors[i], vectors[j]) for i in range(count) for j in range(i + 1, count)]
        mean = max(sum(found) / len(found), 1e-6)
        return [value / mean for value in found]

    gaps = [abs(a - b) for a, b in zip(relative(embeddings), relative(reference), strict=True)]
    return sum(0.5 * gap**2 if gap < 1 else gap - 0.5 for gap in gaps) / len(gaps)


@pytest.mark.parametrize("seed", range(5))
def test_relations_are_those_of_the_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings, reference = rng.normal(size=(6, 4)), rng.normal(size=(6, 9)) ** 3
    value = relational_distance(torch.tensor(embeddings).float(), torch.tensor(reference).float())
    assert float(value) == pytest.approx(by_hand(embeddings, reference), rel=1e-4)


def test_relations_do_not_depend_on_scale_place_or_turn() -> None:
    reference = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1))).Q
    assert float(relational_distance(3 * reference @ turn + 2, reference)) < 1e-6


@pytest.mark.parametrize("kind", ["equal", "two alike"])
def test_relations_of_equal_embeddings_have_finite_gradients(kind: str) -> None:
    raw = torch.ones(4, 3) if kind == "equal" else torch.eye(4, 3)
    raw.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = relational_distance(raw, torch.eye(4))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert raw.grad.isfinite().all()


def test_weights_are_held_by_half_the_squared_distance() -> None:
    rng = torch.Generator().manual_seed(0)
    now = [torch.nn.Parameter(torch.randn(shape, generator=rng)) for shape in ((2, 3), (4,), (2,))]
    start = [torch.randn(value.shape, generator=rng) for value in now]
    now[2].requires_grad_(False)
    value = squared_distance(now, start)
    value.backward()
    expected = 0.5 * sum(float(((a.detach() - b) ** 2).sum()) for a, b in zip(now[:2], start[:2], strict=True))
    assert value.item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(now[0].grad, now[0].detach() - start[0])
    assert squared_distance(now[2:], start[2:]).item() == 0


def moved(encoder: Encoder) -> Encoder:
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return encoder


@pytest.mark.parametrize("head", ["mlp", "linear", "residual", "none"])
def test_the_reference_is_the_start_before_any_random_head(head: str) -> None:
    torch.manual_seed(0)
    encoder, batch = small(head=head), pixels(5)
    anchoring = StartPenalty(encoder, l2_sp=2.0, relations=3.0)
    backbone = small(head="none")
    backbone.backbone.load_state_dict(encoder.backbone.state_dict())
    reference = backbone.eval()(batch).detach()
    begin = anchoring(batch, reference)
    assert (begin["l2_sp"].item(), begin["relations"].item()) == (0.0, 0.0)
    embeddings = moved(encoder)(batch)
    terms = anchoring(batch, embeddings)
    assert terms["relations"].item() == pytest.approx(3 * relational_distance(embeddings, reference).item(), rel=1e-5)
    start = dict(backbone.backbone.named_parameters())
    gaps = [(value - start[name]).square().sum().item() for name, value in encoder.backbone.named_parameters()]
    assert terms["l2_sp"].item() == pytest.approx(sum(gaps), rel=1e-4)


def test_nothing_is_added_without_weights() -> None:
    encoder = small()
    assert StartPenalty(encoder, l2_sp=0, relations=0)(pixels(2), encoder(pixels(2))) == {}


def distance_moved(**changes: float) -> float:
    lightning.seed_everything(0, verbose=False)
    module = make_module(**changes)
    start = [value.detach().clone() for value in module.encoder.backbone.parameters()]
    trainer = plain_trainer(epochs=1)
    trainer.fit(module, Colours())
    assert {"train/loss", *(f"train/loss/{name}" for name in changes)} <= set(trainer.callback_metrics)
    assert not any("teacher" in name for name in module.state_dict())
    return squared_distance(list(module.encoder.backbone.parameters()), start).item()


def test_training_moves_less_far_when_it_is_held() -> None:
    free = distance_moved()
    assert distance_moved(l2_sp=10.0) < 0.5 * free
    assert distance_moved(relations=30.0) != free
